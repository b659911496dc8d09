/* SPDX-License-Identifier: BSD-3-Clause */
#include "element.h"

#include <complex.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

bool cli_type_named(const char *name, wc_type *type) {
    for (int t = 0; t < WC_TYPE_COUNT; t++)
        if (t != WC_TYPE_REQUEST && strcmp(wc_type_name((wc_type)t), name) == 0) {
            *type = (wc_type)t;
            return true;
        }
    return false;
}

bool cli_type_is_integer(wc_type type) {
    return type <= WC_TYPE_U64;
}

bool cli_type_is_number(wc_type type) {
    return type < WC_TYPE_BOOL;
}

/* ---- one element ---- */

typedef union value {
#define VALUE_MEMBER(name, ctype, kind) ctype name;
    WC_TYPE_LIST(VALUE_MEMBER)
#undef VALUE_MEMBER
    unsigned char bytes[sizeof(wc_request_row)];
} value;

/* A bool of a file may be anything. */
static value load(wc_type type, const void *element) {
    value v;
    memcpy(v.bytes, element, wc_type_bytes(type));
    if (type == WC_TYPE_BOOL)
        v.BYTE = v.BYTE != 0;
    return v;
}

static int64_t as_integer(wc_type type, const value *v) {
    switch (type) {
    case WC_TYPE_I8:
        return v->I8;
    case WC_TYPE_I16:
        return v->I16;
    case WC_TYPE_I32:
        return v->I32;
    default:
        return v->I64;
    }
}

static uint64_t as_unsigned(wc_type type, const value *v) {
    switch (type) {
    case WC_TYPE_U8:
        return v->U8;
    case WC_TYPE_U16:
        return v->U16;
    case WC_TYPE_U32:
        return v->U32;
    default:
        return v->U64;
    }
}

static long double complex as_complex(wc_type type, const value *v) {
    switch (type) {
    case WC_TYPE_F32:
        return v->F32;
    case WC_TYPE_F64:
        return v->F64;
    case WC_TYPE_FLD:
        return v->FLD;
    case WC_TYPE_C32:
        return v->C32;
    case WC_TYPE_C64:
        return v->C64;
    default:
        return v->CLD;
    }
}

void cli_element_print(FILE *to, wc_type type, const void *element) {
    value v = load(type, element);
    int digits = type == WC_TYPE_F32 || type == WC_TYPE_C32 ? 7 : 15;
    switch (type) {
    case WC_TYPE_I8:
    case WC_TYPE_I16:
    case WC_TYPE_I32:
    case WC_TYPE_I64:
        fprintf(to, "%" PRId64, as_integer(type, &v));
        break;
    case WC_TYPE_U8:
    case WC_TYPE_U16:
    case WC_TYPE_U32:
    case WC_TYPE_U64:
        fprintf(to, "%" PRIu64, as_unsigned(type, &v));
        break;
    case WC_TYPE_F32:
    case WC_TYPE_F64:
    case WC_TYPE_FLD:
        fprintf(to, "%.*Lg", digits, creall(as_complex(type, &v)));
        break;
    case WC_TYPE_C32:
    case WC_TYPE_C64:
    case WC_TYPE_CLD:
        fprintf(to, "%.*Lg%+.*Lgi", digits, creall(as_complex(type, &v)), digits,
                cimagl(as_complex(type, &v)));
        break;
    case WC_TYPE_BOOL:
        fputs(v.BYTE ? "true" : "false", to);
        break;
    default:
        for (size_t i = 0; i < wc_type_bytes(type); i++)
            fprintf(to, "%02x", v.bytes[i]);
    }
}

json_t *cli_json_large(uint64_t n) {
    return n <= INT64_MAX ? json_integer((json_int_t)n) : json_real((double)n);
}

json_t *cli_element_json(wc_type type, const void *element) {
    value v = load(type, element);
    if (type == WC_TYPE_BOOL)
        return json_boolean(v.BYTE);
    if (type == WC_TYPE_BYTE)
        return json_integer(v.BYTE);
    if (type >= WC_TYPE_C32)
        return json_pack("[o, o]", cli_json_real((double)creall(as_complex(type, &v))),
                         cli_json_real((double)cimagl(as_complex(type, &v))));
    if (!cli_type_is_integer(type))
        return cli_json_real((double)creall(as_complex(type, &v)));
    if (type == WC_TYPE_I8 || type == WC_TYPE_I16 || type == WC_TYPE_I32 || type == WC_TYPE_I64)
        return json_integer(as_integer(type, &v));
    return cli_json_large(as_unsigned(type, &v));
}

_Static_assert(sizeof(long double) == 16, "numpy's names say so");

const char *cli_element_numpy(wc_type type) {
    static const char REQUEST[] = "[('state', '|S8'), ('source', '<i4'), ('tag', '<i4'), "
                                  "('comm', '<u8'), ('order', '<u8'), ('count', '<u8'), "
                                  "('offset', '<i8'), ('type', '|S128'), ('array', '|S256')]";
    static const char *const names[WC_TYPE_COUNT] = {
        [WC_TYPE_I8] = "'|i1'",   [WC_TYPE_U8] = "'|u1'",     [WC_TYPE_I16] = "'<i2'",
        [WC_TYPE_U16] = "'<u2'",  [WC_TYPE_I32] = "'<i4'",    [WC_TYPE_U32] = "'<u4'",
        [WC_TYPE_I64] = "'<i8'",  [WC_TYPE_U64] = "'<u8'",    [WC_TYPE_F32] = "'<f4'",
        [WC_TYPE_F64] = "'<f8'",  [WC_TYPE_FLD] = "'<f16'",   [WC_TYPE_C32] = "'<c8'",
        [WC_TYPE_C64] = "'<c16'", [WC_TYPE_CLD] = "'<c32'",   [WC_TYPE_BOOL] = "'|b1'",
        [WC_TYPE_BYTE] = "'|V1'", [WC_TYPE_REQUEST] = REQUEST};
    return names[type];
}

/* ---- two rows of them ---- */

static void note(cli_difference *d, uint64_t at, long double difference, long double scale) {
    d->changed++;
    if (!isfinite(difference)) {
        d->not_finite++;
        return;
    }
    if (difference > d->largest || d->changed - d->not_finite == 1) {
        d->largest = difference;
        d->largest_at = at;
    }
    if (difference > d->relative * scale) /* a division takes longer */
        d->relative = (double)(difference / scale);
}

static long double magnitude(long double x) {
    return x < 0 ? -x : x;
}

/* A difference is rounded as the type's own (f32: f64's) arithmetic does; that of integers is exact, 64 bits fit. */
#define GAP_INT(x, y)                                                                              \
    ((long double)((x) > (y) ? (uint64_t)(x) - (uint64_t)(y) : (uint64_t)(y) - (uint64_t)(x)))
#define GAP_UINT(x, y) GAP_INT(x, y)
#define GAP_FLOAT(x, y) fabs((double)(x) - (double)(y))
#define GAP_LFLOAT(x, y) fabsl((x) - (y))
#define GAP_COMPLEX(x, y) cabs((double complex)(x) - (double complex)(y))
#define GAP_LCOMPLEX(x, y) cabsl((x) - (y))
#define GAP_BOOL(x, y) 0
#define GAP_OPAQUE(x, y) 0
#define GAP_ROW(x, y) 0
#define SIZE_INT(x) magnitude((long double)(x))
#define SIZE_UINT(x) ((long double)(x))
#define SIZE_FLOAT(x) magnitude(x)
#define SIZE_LFLOAT(x) magnitude(x)
#define SIZE_COMPLEX(x) cabs(x)
#define SIZE_LCOMPLEX(x) cabsl(x)
#define SIZE_BOOL(x) 0
#define SIZE_OPAQUE(x) 0
#define SIZE_ROW(x) 0

#define COMPARE(name, ctype, kind)                                                                 \
    static void compare_##name(cli_difference *d, const char *a, const char *b, size_t count) {    \
        for (size_t i = 0; i < count; i++) {                                                       \
            value x, y;                                                                            \
            if (memcmp(a + i * sizeof(ctype), b + i * sizeof(ctype), sizeof(ctype)) == 0)          \
                continue;                                                                          \
            memcpy(&x, a + i * sizeof(ctype), sizeof(ctype));                                      \
            memcpy(&y, b + i * sizeof(ctype), sizeof(ctype));                                      \
            long double size_x = SIZE_##kind(x.name), size_y = SIZE_##kind(y.name);                \
            note(d, d->elements + i, GAP_##kind(x.name, y.name),                                   \
                 size_x > size_y ? size_x : size_y);                                               \
        }                                                                                          \
    }
WC_TYPE_LIST(COMPARE)
#undef COMPARE

/* Elements at a time that are looked at one by one only if their bytes differ. */
enum { AT_ONCE = 4096 };

void cli_difference_add(cli_difference *d, wc_type type, const void *a, const void *b,
                        size_t count) {
    static void (*const compare[])(cli_difference *, const char *, const char *, size_t) = {
#define COMPARE(name, ctype, kind) compare_##name,
        WC_TYPE_LIST(COMPARE)
#undef COMPARE
    };
    const char *x = a, *y = b;
    size_t each = wc_type_bytes(type);
    while (count) {
        size_t n = count < AT_ONCE ? count : AT_ONCE;
        if (memcmp(x, y, n * each) != 0)
            compare[type](d, x, y, n);
        d->elements += n;
        x += n * each;
        y += n * each;
        count -= n;
    }
}
