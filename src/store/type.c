/* SPDX-License-Identifier: BSD-3-Clause */
#include "type.h"

static const size_t sizes[] = {
#define TYPE_SIZE(name, ctype, kind) sizeof(ctype),
    WC_TYPE_LIST(TYPE_SIZE)
#undef TYPE_SIZE
};

static const char *const names[WC_TYPE_COUNT] = {
    [WC_TYPE_I8] = "i8",     [WC_TYPE_U8] = "u8",           [WC_TYPE_I16] = "i16",
    [WC_TYPE_U16] = "u16",   [WC_TYPE_I32] = "i32",         [WC_TYPE_U32] = "u32",
    [WC_TYPE_I64] = "i64",   [WC_TYPE_U64] = "u64",         [WC_TYPE_F32] = "f32",
    [WC_TYPE_F64] = "f64",   [WC_TYPE_FLD] = "fld",         [WC_TYPE_C32] = "c32",
    [WC_TYPE_C64] = "c64",   [WC_TYPE_CLD] = "cld",         [WC_TYPE_BOOL] = "bool",
    [WC_TYPE_BYTE] = "byte", [WC_TYPE_REQUEST] = "request",
};

size_t wc_type_bytes(wc_type type) {
    return sizes[type];
}

const char *wc_type_name(wc_type type) {
    return names[type];
}
