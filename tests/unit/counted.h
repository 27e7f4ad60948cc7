/*
 * counted - how many allocations and system calls a piece of code makes
 *
 * Allocations: all of the process, those of libraries too, by the sanitizer's hook or in place of
 * the C library's own functions. System calls: by tracing a child, between two marks of its; the
 * mark is a getppid(), which nothing else here calls.
 */
#ifndef BFF_TESTS_COUNTED_H
#define BFF_TESTS_COUNTED_H

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static unsigned long counted_allocations;

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_malloc_hook(const volatile void *p, size_t n);

void __sanitizer_malloc_hook(const volatile void *p, size_t n)
{
	(void)p;
	(void)n;
	counted_allocations++;
}
#else
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	counted_allocations++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	counted_allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	counted_allocations++;
	return __libc_realloc(p, n);
}
#endif

/* Of a child: what it called between an odd mark and the next. */
struct counted_calls {
	unsigned long reads, writes, waits, others, marks;
};

static inline void counted_mark(void)
{
	(void)syscall(SYS_getppid);
}

static inline void counted_note(struct counted_calls *c, long number)
{
	if (number == SYS_getppid)
		c->marks++;
	else if (c->marks % 2 == 0)
		return;
	else if (number == SYS_read || number == SYS_recvfrom)
		c->reads++;
	else if (number == SYS_write || number == SYS_sendto)
		c->writes++;
	else if (number == SYS_epoll_wait || number == SYS_epoll_pwait)
		c->waits++;
	else
		c->others++;
}

/* Runs fn in a child, which marks what is to be counted. */
static inline struct counted_calls counted_run(void (*fn)(void))
{
	struct counted_calls c = {0};
	struct __ptrace_syscall_info info;
	pid_t pid = fork();
	int status;

	assert_true(pid != -1);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 || raise(SIGSTOP) != 0)
			_exit(1);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
			 0);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		assert_int_equal(WSTOPSIG(status), SIGTRAP | 0x80);
		assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0);
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			counted_note(&c, (long)info.entry.nr);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return c;
}

#endif
