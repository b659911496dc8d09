/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include "fault.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { OWN_SCOPE_FIRST = 0 }; /* the sanitizer must see every call of malloc */
#else
enum { OWN_SCOPE_FIRST = RTLD_DEEPBIND };
#endif

/* Directory of the library (or program) that this code is in, with the last slash. */
static bool own_directory(char *path, size_t size) {
    Dl_info info;
    char real[PATH_MAX];
    /* A function's address as an object's: POSIX grants it for dlsym, and dladdr wants it. */
    wc_status (*self)(const wc_store_api **, wc_error *) = wc_store_load;
    void *address;
    memcpy(&address, &self, sizeof address);
    if (!dladdr(address, &info) || !info.dli_fname || !realpath(info.dli_fname, real))
        return false;
    char *slash = strrchr(real, '/');
    return slash && (size_t)snprintf(path, size, "%.*s", (int)(slash - real) + 1, real) < size;
}

static void find_module(char *path, size_t size) {
    static const char *const places[] = {"wavecut/libwavecut-store.so", "libwavecut-store.so"};
    const char *chosen = secure_getenv("WAVECUT_STORE_MODULE");
    char directory[PATH_MAX] = "";
    if (chosen && *chosen) {
        snprintf(path, size, "%s", chosen);
        return;
    }
    own_directory(directory, sizeof directory);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, size, "%s%s", directory, places[i]);
        if (access(path, R_OK) == 0)
            return;
    }
    snprintf(path, size, "%s%s", directory, places[0]); /* the one to name in the error */
}

static wc_status load(const wc_store_api **api, wc_error *error) {
    char path[PATH_MAX + 64];
    find_module(path, sizeof path);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | OWN_SCOPE_FIRST);
    if (!module)
        return wc_error_set(error, WC_ERR_IO,
                            "the HDF5 part of Wavecut can't be loaded: %.400s; install it there or "
                            "name it in WAVECUT_STORE_MODULE",
                            dlerror());
    const wc_store_api *(*entry)(void);
    void *symbol = dlsym(module, "wc_store_module");
    memcpy(&entry, &symbol, sizeof entry);
    const wc_store_api *found = symbol ? entry() : NULL;
    if (!found || found->abi != WC_STORE_ABI)
        return wc_error_set(error, WC_ERR_IO,
                            "%.400s belongs to another version of Wavecut: install both from one "
                            "build",
                            path);
    *api = found;
    return WC_OK;
}

wc_status wc_store_load(const wc_store_api **api, wc_error *error) {
    static const wc_store_api *loaded;
    wc_status status = wc_fault_check(error);
    if (status == WC_OK && !loaded)
        status = load(&loaded, error);
    if (status != WC_OK)
        return status;
#ifdef WC_FAULTS
    loaded->fault_setup(wc_fault_rank());
#endif
    *api = loaded;
    return WC_OK;
}
