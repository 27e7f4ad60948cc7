#include "common/preset.h"

#include <assert.h>

static const struct {
	const char *word;
	struct preset preset;
} presets[] = {
#define PRESET(id, word_, ...) [PRESET_##id] = {.word = word_, .preset = {__VA_ARGS__}},
#include "common/preset.def"
#undef PRESET
};

const struct preset *preset_of(enum config_preset id)
{
	assert(id > 0 && (size_t)id < ARRAY_LEN(presets));
	return &presets[id].preset;
}

const char *preset_word(enum config_preset id)
{
	assert(id > 0 && (size_t)id < ARRAY_LEN(presets));
	return presets[id].word;
}

bool preset_has_grant(const struct preset *p, enum config_grant grant)
{
	return grant == GRANT_SESSION || grant == GRANT_ID_TOKEN || (p->grants >> grant & 1) != 0;
}
