# bff - see README.md. Everything is built under build/; the tests keep what they download and build of others (Node.js,
# the OpenID provider, Traefik) in $XDG_CACHE_HOME/bff, default ~/.cache/bff.
#
#	make            the three programs                 make test   everything, in one line at the end
#	make demo       the whole thing on this machine    make bench  figures (not part of test)
#	make deps       install what these need            make lint   what the binaries may link, and more
#	make test-deps  install what the tests need too
#
# Variants share the rules: VARIANT=gcc (default), clang, asan (gcc, ASan and UBSan, fault points).

VERSION := 0.1.0
VARIANT ?= gcc
B := build/$(VARIANT)

PACKAGES := gcc libc6-dev make binutils libssl-dev libpq-dev libjson-c-dev libcurl4-openssl-dev libevent-dev \
	libconfuse-dev node-llhttp postgresql nginx-light caddy python3 ca-certificates
# Not Debian's where a newer one is on PATH (they conflict).
PACKAGES += $(if $(shell command -v npm),,nodejs npm)
TEST_PACKAGES := $(PACKAGES) clang libclang-rt-14-dev clang-format libcmocka-dev python3-cryptography \
	python3-pytest python3-selenium chromium chromium-driver openssl iproute2 procps systemd haproxy python3-pip \
	pgbouncer
BENCH_PACKAGES := $(PACKAGES) apache2 libapache2-mod-auth-openidc redis-server python3-cryptography strace openssl
# Of these, what Debian starts where it installs it, and at every boot: the demo and the tests have their own.
SERVICES := postgresql nginx caddy haproxy apache2 redis-server pgbouncer

CC_gcc := gcc
CC_clang := clang
CC_asan := gcc
# Calls between files are inlined where programs are linked; tests are linked without (they wrap calls). Loops are aligned,
# since llhttp costs a sixth more where its own happen to fall badly.
OPT_gcc := -O2 -D_FORTIFY_SOURCE=2 -flto -ffat-lto-objects -falign-functions=32 -falign-loops=32
LINK_gcc := -flto=auto
OPT_clang := -O2 -D_FORTIFY_SOURCE=2
OPT_asan := -O1 -DBFF_FAULT_POINTS -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LINK_asan := -fsanitize=address,undefined
CC_fuzz := clang
OPT_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
LINK_fuzz := -fsanitize=fuzzer,address,undefined

CC := $(CC_$(VARIANT))
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla \
	-Wundef -Wformat=2 -Wimplicit-fallthrough -Wnull-dereference -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE -fno-common
CFLAGS := -std=gnu17 -D_GNU_SOURCE -g -I. -I$(B) -isystem /usr/share/include/llhttp -isystem /usr/include/postgresql \
	-DBFF_VERSION='"$(VERSION)"' $(OPT_$(VARIANT)) $(WARN) $(HARDEN)
LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LINK_$(VARIANT))

# config, log and the like need libconfuse alone; the rest of common needs OpenSSL, libpq, libevent.
LIBS_master := -lconfuse -levent_core
LIBS_broker := -lconfuse -levent_core -lpq -ljson-c -lssl -lcrypto -lcurl
LIBS_worker := -lconfuse -levent_core -lpq -lssl -lcrypto
LIBS_common := -lconfuse -levent_core -lpq -lcrypto
LIBS_tests := -lcmocka

objects = $(patsubst %.c,$(B)/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))
PROGRAMS := $(B)/bffd $(B)/bff-worker $(B)/bff-broker
UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c)
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SOURCES))

.PHONY: all deps test-deps bench-deps programs unit test check demo bench fuzz model lint install clean
.DELETE_ON_ERROR:
.SECONDARY:

all: deps
	@$(MAKE) --no-print-directory programs

programs: $(PROGRAMS)
	@:

deps: build/.deps
test-deps: build/.test-deps
bench-deps: build/.bench-deps

build/.deps: NEEDED = $(PACKAGES)
build/.test-deps: NEEDED = $(TEST_PACKAGES)
build/.bench-deps: NEEDED = $(BENCH_PACKAGES)
build/.deps build/.test-deps build/.bench-deps: Makefile
	@mkdir -p build
	@missing=$$(for p in $(NEEDED); do \
		dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q '^install ok installed' || printf '%s ' $$p; done); \
	if [ -n "$$missing" ]; then \
		echo "installing from Debian, once, which takes some minutes: $$missing"; \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		quiet=; [ -t 1 ] || quiet=-qq; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y $$quiet --no-install-recommends $$missing \
			|| exit 1; \
		new=$$(for s in $(SERVICES); do case " $$missing" in *" $$s"*) printf '%s ' $$s;; esac; done); \
		if [ -n "$$new" ] && [ -d /run/systemd/system ]; then \
			echo "stopped, and not started at boot: $$new"; \
			$$sudo systemctl disable --quiet --now $$new || exit 1; \
		fi; \
	fi
	@touch $@

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo '  CC $(VARIANT) $<'
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# The parser's own sources, which we do not hold to our warnings.
$(B)/llhttp/%.o: /usr/share/llhttp/%.c Makefile
	@mkdir -p $(@D)
	@echo '  CC $(VARIANT) $<'
	@$(CC) $(filter-out -W%,$(CFLAGS)) -c -o $@ $<
LLHTTP := $(B)/llhttp/llhttp.o $(B)/llhttp/api.o $(B)/llhttp/http.o

# An archive a directory: a program takes only the members it calls, so that bffd stays free of
# everything it must not link.
$(B)/libcommon.a: $(call objects,common)
$(B)/libmaster.a: $(call objects,master)
$(B)/libworker.a: $(call objects,worker) $(LLHTTP)
$(B)/libbroker.a: $(call objects,broker)
$(B)/%.a:
	@rm -f $@
	@ar rcsD $@ $^

$(B)/bffd: $(B)/master/main.o $(B)/libmaster.a $(B)/libcommon.a
	@echo '  LD $(VARIANT) $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_master)
$(B)/bff-worker: $(B)/worker/main.o $(B)/libworker.a $(B)/libcommon.a
	@echo '  LD $(VARIANT) $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_worker)
$(B)/bff-broker: $(B)/broker/main.o $(B)/libbroker.a $(B)/libcommon.a
	@echo '  LD $(VARIANT) $@'
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_broker)

# tests/unit/DIR/test_FILE.c is linked with DIR's archive and common's. Where it defines __wrap_NAME, that is called in
# place of NAME (ld --wrap): how a test stands in for a neighbour, or has an allocation fail.
WRAPS = $$(nm $< | sed -n 's/.* T __wrap_/-Wl,--wrap=/p')
define unit_rule
$(B)/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(sort $(B)/lib$(1).a $(B)/libcommon.a)
	@mkdir -p $$(@D)
	@echo '  LD $(VARIANT) $$@'
	@$$(CC) $$(LDFLAGS) -fno-lto $$(WRAPS) -o $$@ $$< $(B)/lib$(1).a $(B)/libcommon.a $$(LIBS_$(1)) $$(LIBS_tests) $(2)
endef
$(eval $(call unit_rule,common,))
$(eval $(call unit_rule,master,))
$(eval $(call unit_rule,worker,-ljson-c))
$(eval $(call unit_rule,broker,-lssl))

unit: $(UNIT)
	@for t in $(UNIT); do echo "== $$t"; $$t || exit 1; done

# The model test of the session cache, for longer than `make test` does; a failure prints its seed.
MODEL_STEPS ?= 20000000
MODEL_SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
model: test-deps
	@$(MAKE) --no-print-directory $(B)/unit/common/test_session_cache
	BFF_MODEL_SEED=$(MODEL_SEED) BFF_MODEL_STEPS=$(MODEL_STEPS) $(B)/unit/common/test_session_cache

# fuzz_NAME.c with its corpus. `make test` replays the corpora (asan variant); `make fuzz` looks for more,
# FUZZ_SECONDS a target.
FUZZ_SECONDS ?= 60
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIBS = $(B)/libworker.a $(B)/libbroker.a $(B)/libcommon.a $(LIBS_broker)
REPLAY := $(patsubst %,$(B)/replay/%,$(FUZZ))

$(B)/replay/%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/libworker.a $(B)/libbroker.a $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $< $(B)/tests/fuzz/replay.o $(FUZZ_LIBS)

build/fuzz/target/%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libworker.a build/fuzz/libbroker.a build/fuzz/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $< $(FUZZ_LIBS)

fuzz: test-deps
	@$(MAKE) --no-print-directory VARIANT=fuzz $(patsubst %,build/fuzz/target/%,$(FUZZ))
	@for f in $(FUZZ); do mkdir -p build/fuzz/corpus/$$f; \
		build/fuzz/target/$$f -max_total_time=$(FUZZ_SECONDS) build/fuzz/corpus/$$f tests/fuzz/corpus/$$f || exit 1; done

# What a package would hold, under DESTDIR. The units name /usr, so there is no other prefix.
PREFIX := /usr
DOC := $(DESTDIR)$(PREFIX)/share/doc/bff
install: programs
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/bff $(DESTDIR)$(PREFIX)/lib/systemd/system \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)$(PREFIX)/share/bff/sql \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)/etc/bff/conf.d
	install $(B)/bffd $(B)/bff-broker $(DESTDIR)$(PREFIX)/sbin/
	install $(B)/bff-worker $(DESTDIR)$(PREFIX)/lib/bff/
	install -m 644 etc/systemd/*.service etc/systemd/*.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 644 etc/sysusers.d/* $(DESTDIR)$(PREFIX)/lib/sysusers.d/
	install -m 644 etc/tmpfiles.d/* $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/
	install -m 644 sql/*.sql $(DESTDIR)$(PREFIX)/share/bff/sql/
	install sql/migrate $(DESTDIR)$(PREFIX)/share/bff/sql/
	install -m 644 etc/psqlrc $(DESTDIR)$(PREFIX)/share/bff/
	install -m 644 master/*.8 worker/*.8 broker/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -d $(DOC)/systemd $(DOC)/edge
	install -m 644 README.md LICENSE $(DOC)/
	cp -r etc/systemd/examples/. $(DOC)/systemd/
	cp -r etc/edge/. $(DOC)/edge/
	install -m 644 etc/grafana/bff.json etc/prometheus/bff.rules.yml $(DOC)/
	test -e $(DESTDIR)/etc/bff/bff.conf || install -m 644 etc/bff.conf $(DESTDIR)/etc/bff/bff.conf
	test -e $(DESTDIR)/etc/bff/pages || { install -d $(DESTDIR)/etc/bff/pages/company && \
		install -m 644 etc/pages/company/* $(DESTDIR)/etc/bff/pages/company/; }

test: test-deps
	@tests/lib/run.py

check: test-deps
	@tests/lib/run.py quick

demo: deps
	@$(MAKE) --no-print-directory -j$$(nproc) programs
	@exec /usr/bin/python3 tests/demo/run.py

lint: all test-deps
	@for l in tests/lint/*; do $$l || exit 1; done

# Figures, each next to the thing it is compared with in the same run; not part of make test. BENCH: parts, all if
# empty; tests/bench/run.py says which there are.
BENCH ?=
BENCH_PROGRAMS := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))
$(B)/bench/%: $(B)/tests/bench/%.o $(B)/libbroker.a $(B)/libcommon.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_broker) -lssl

bench: all bench-deps
	@$(MAKE) -s --no-print-directory $(BENCH_PROGRAMS)
	@tests/bench/run.py $(BENCH)

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
