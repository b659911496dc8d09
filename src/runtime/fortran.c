/* SPDX-License-Identifier: BSD-3-Clause */
/* What src/fortran/wavecut.f90 declares and C can't be called for as it is: calls with strings, whose
 * lengths stand behind all parameters, and with MPI's handles, which are integers. */
#include "../mpi/layer.h"
#include "api.h"

#include <wavecut.h>

#include <string.h>

enum { MAX_DIMS = 8 };

/* Names that are too long stay so, and are refused. */
typedef struct name {
    char text[WAVECUT_NAME_MAX + 2];
} name;

static name name_of(const char *text, size_t length) {
    name n;
    while (length && text[length - 1] == ' ')
        length--;
    if (length > sizeof n.text - 1)
        length = sizeof n.text - 1;
    memcpy(n.text, text, length);
    n.text[length] = 0;
    return n;
}

static void fill(char *to, size_t room, const char *text) {
    size_t length = strlen(text);
    if (length > room)
        length = room;
    memcpy(to, text, length);
    memset(to + length, ' ', room - length);
}

void wavecut_status_text_(int status, char *text, size_t room);
void wavecut_status_name_(int status, char *text, size_t room);
void wavecut_error_text_(char *text, size_t room);
int wavecut_init_(MPI_Fint comm);
int wavecut_protect_(const char *text, void *address, size_t count, MPI_Fint type, size_t length);
int wavecut_protect_array_(const char *text, void *address, MPI_Fint type, int ndims,
                           const size_t global[], const size_t local[], const size_t offset[],
                           size_t length);
int wavecut_protect_callback_(const char *text, wavecut_save_function *save,
                              wavecut_load_function *load, void *user, size_t length);
int wavecut_protect_requests_(const char *text, void *requests, int count, size_t length);
int wavecut_hint_(const char *text, int hint, size_t length);
int wavecut_unprotect_(const char *text, size_t length);
int wavecut_stored_(const char *text, size_t *count, MPI_Fint *type, size_t length);

WC_EXPORT void wavecut_status_text_(int status, char *text, size_t room) {
    fill(text, room, wavecut_status_text((wavecut_status)status));
}

WC_EXPORT void wavecut_status_name_(int status, char *text, size_t room) {
    fill(text, room, wavecut_status_name((wavecut_status)status));
}

WC_EXPORT void wavecut_error_text_(char *text, size_t room) {
    fill(text, room, wavecut_error_text());
}

WC_EXPORT int wavecut_init_(MPI_Fint comm) {
    return (int)wavecut_init(MPI_Comm_f2c(comm));
}

WC_EXPORT int wavecut_protect_(const char *text, void *address, size_t count, MPI_Fint type,
                               size_t length) {
    name n = name_of(text, length);
    return (int)wavecut_protect(n.text, address, count, MPI_Type_f2c(type));
}

static void turn(size_t *to, const size_t *from, int n) {
    for (int i = 0; i < n; i++)
        to[i] = from[n - 1 - i];
}

WC_EXPORT int wavecut_protect_array_(const char *text, void *address, MPI_Fint type, int ndims,
                                     const size_t global[], const size_t local[],
                                     const size_t offset[], size_t length) {
    name n = name_of(text, length);
    size_t shape[MAX_DIMS] = {0}, part[MAX_DIMS] = {0}, place[MAX_DIMS] = {0};
    if (ndims > 0 && ndims <= MAX_DIMS) { /* else it is refused */
        turn(shape, global, ndims);
        turn(part, local, ndims);
        turn(place, offset, ndims);
    }
    return (int)wavecut_protect_array(n.text, address, MPI_Type_f2c(type), ndims, shape, part,
                                      place);
}

WC_EXPORT int wavecut_protect_callback_(const char *text, wavecut_save_function *save,
                                        wavecut_load_function *load, void *user, size_t length) {
    name n = name_of(text, length);
    return (int)wavecut_protect_callback(n.text, save, load, user);
}

WC_EXPORT int wavecut_protect_requests_(const char *text, void *requests, int count,
                                        size_t length) {
    name n = name_of(text, length);
    return (int)wc_protect_requests(n.text, requests, count, true);
}

WC_EXPORT int wavecut_hint_(const char *text, int hint, size_t length) {
    name n = name_of(text, length);
    return (int)wavecut_hint(n.text, (wavecut_hint_kind)hint);
}

WC_EXPORT int wavecut_unprotect_(const char *text, size_t length) {
    name n = name_of(text, length);
    return (int)wavecut_unprotect(n.text);
}

WC_EXPORT int wavecut_stored_(const char *text, size_t *count, MPI_Fint *type, size_t length) {
    name n = name_of(text, length);
    MPI_Datatype found;
    int status = (int)wavecut_stored(n.text, count, type ? &found : NULL);
    if (status == WAVECUT_OK && type)
        *type = MPI_Type_c2f(found);
    return status;
}
