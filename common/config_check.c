#include "common/config_build.h"
#include "common/config_value.h"

enum err config_check(const struct config_build *b)
{
	(void)b;
	return ERR_OK;
}
