/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of settings: what each takes. */
#ifndef WC_SETTINGS_TABLE_H
#define WC_SETTINGS_TABLE_H

#include "settings.h"

/* Puts the text of row `index` into `settings`. False: it isn't what the setting takes. */
bool wc_setting_parse(size_t index, const char *text, wc_settings *settings);

/* The row of that name, as in the file. -1: there is none. */
int wc_setting_find(const char *name);

/* The row whose name may be meant, however it is spelt: a letter wrong or missing here and there, in
 * capitals, with WAVECUT_ in front, cut short. -1: none is near. */
int wc_setting_near(const char *name);

#endif
