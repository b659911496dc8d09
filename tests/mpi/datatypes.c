/* SPDX-License-Identifier: BSD-3-Clause */
/* Datatypes of receives, as a snapshot's file tells them: what was described is made again, and anything else is refused, without
 * an end of the job. */
#include "runtime/datatype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong;

static void expect(bool right, const char *what, const char *text) {
    if (!right) {
        printf("%s: \"%s\"\n", what, text);
        wrong = 1;
    }
}

static const char *const good[] = {"i8",
                                   "packed",
                                   "dup[;](f64)",
                                   "contiguous[3;](i64)",
                                   "vector[2,1,3;](i64)",
                                   "hvector[2,1;24](c64)",
                                   "resized[;-8,64](vector[2,1,3;](i32))",
                                   "subarray[2,4,5,2,2,1,0,56;](u8)",
                                   "blocks[2,1,0,4;](bool)"};

/* MPI refuses the first ones. */
static const char *const bad[] = {
    "contiguous[-1;](i8)",
    "vector[-2,1,3;](i64)",
    "vector[2,-1,3;](i64)",
    "hvector[-1,-1;0](i8)",
    "subarray[1,4,9,0,56;](i8)",
    "subarray[1,-4,2,0,56;](i8)",
    "blocks[1,-1,0;](i8)",
    "",
    "x",
    "request",
    "contiguous",
    "contiguous[",
    "contiguous[3;",
    "contiguous[3;]",
    "contiguous[3;](",
    "contiguous[3;](x)",
    "contiguous[3,3;](i8)",
    "contiguous[;](i8)",
    "subarray[99;](i8)",
    "blocks[-1,1;](i8)",
    "vector[1,1,1,;](i8)",
    "dup[;](dup[;](dup[;](dup[;](dup[;](dup[;](dup[;](dup[;](dup[;](i8)))))))))"};

static void made_again(void) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        MPI_Datatype type;
        bool made;
        char text[256];
        if (!wc_datatype_make(good[i], &type, &made)) {
            expect(false, "is refused", good[i]);
            continue;
        }
        expect(wc_datatype_describe(type, text, sizeof text), "can't be described", good[i]);
        if (made)
            MPI_Type_free(&type);
    }
}

static void refused(void) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        MPI_Datatype type;
        bool made;
        expect(!wc_datatype_make(bad[i], &type, &made), "is accepted", bad[i]);
    }
}

/* Seeded changes of good ones: accepted or refused. */
static void changed(void) {
    static const char characters[] = "0123456789-;,[]()vidx";
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        char text[128];
        MPI_Datatype type;
        bool made;
        seed = seed * 1664525u + 1013904223u;
        strcpy(text, good[(seed >> 8) % (sizeof good / sizeof *good)]);
        for (unsigned k = 0; k <= seed >> 30; k++) {
            seed = seed * 1664525u + 1013904223u;
            text[(seed >> 8) % strlen(text)] = characters[(seed >> 20) % (sizeof characters - 1)];
        }
        if (!wc_datatype_make(text, &type, &made))
            continue;
        int64_t from, to;
        wc_datatype_span(3, type, &from, &to);
        if (made)
            MPI_Type_free(&type);
    }
}

static void spans(void) {
    static const struct {
        const char *text;
        uint64_t count;
        bool counted;
        int64_t from, to;
    } rows[] = {{"i64", 0, true, 0, 0},
                {"i64", 2, true, 0, 16},
                {"vector[2,1,3;](i64)", 1, true, 0, 32},
                {"resized[;0,-8](i32)", 3, true, -16, 4},
                {"resized[;0,1099511627776](i8)", 2147483647, false, 0, 0},
                {"resized[;0,-9223372036854775807](i8)", 3, false, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        MPI_Datatype type;
        bool made;
        int64_t from, to;
        if (!wc_datatype_make(rows[i].text, &type, &made)) {
            expect(!rows[i].counted, "is refused", rows[i].text);
            continue;
        }
        bool counted = wc_datatype_span(rows[i].count, type, &from, &to);
        expect(counted == rows[i].counted &&
                   (!counted || (from == rows[i].from && to == rows[i].to)),
               "has another span", rows[i].text);
        if (made)
            MPI_Type_free(&type);
    }
}

/* The program's own are back: errors end it, as before. */
static void handlers_are_left(void) {
    const MPI_Comm comms[2] = {MPI_COMM_WORLD, MPI_COMM_SELF};
    for (int i = 0; i < 2; i++) {
        MPI_Errhandler handler;
        MPI_Comm_get_errhandler(comms[i], &handler);
        expect(handler == MPI_ERRORS_ARE_FATAL, "another error handler", i ? "self" : "world");
        MPI_Errhandler_free(&handler);
    }
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    made_again();
    refused();
    changed();
    spans();
    handlers_are_left();
    MPI_Finalize();
    return wrong;
}
