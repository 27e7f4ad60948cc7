#include "common/err.h"

const char *err_text(enum err e)
{
	switch (e) {
	case ERR_OK:
		return "ok";
#define ERR(name, text)                                                                            \
	case ERR_##name:                                                                           \
		return text;
#include "common/err.def"
#undef ERR
	}
	return "unknown error";
}

enum err errmsg_set(struct errmsg *m, enum err code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(m->text, sizeof m->text, fmt, ap); /* cut is fine: it is a sentence */
	va_end(ap);
	return code;
}
