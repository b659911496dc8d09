/* SPDX-License-Identifier: BSD-3-Clause */
/* The HDF5 module: found, checked, and out of the program's sight. */
#include "job.h"

#include "store/load.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void expect_failure(const char *module, const char *words) {
    const wc_store_api *api = NULL;
    wc_error error = {WC_OK, ""};
    setenv("WAVECUT_STORE_MODULE", module, 1);
    assert_int_equal(wc_store_load(&api, &error), WC_ERR_IO);
    assert_null(api);
    if (!strstr(error.text, module) || !strstr(error.text, words))
        fail_msg("\"%s\" names neither \"%s\" nor \"%s\"", error.text, module, words);
}

static void bad_modules(void **state) {
    (void)state;
    expect_failure("/none/libwavecut-store.so", "WAVECUT_STORE_MODULE");
    expect_failure("libm.so.6", "another version");
}

static void loads(void **state) {
    const wc_store_api *api = NULL, *again = NULL;
    char path[PATH_MAX];
    wc_error error = {WC_OK, ""};
    wc_reader *reader;
    wc_verdict verdict;
    setenv("WAVECUT_STORE_MODULE", WC_MODULE, 1);
    if (wc_store_load(&api, &error) != WC_OK)
        fail_msg("%s", error.text);
    assert_int_equal(api->abi, WC_STORE_ABI);
    assert_int_equal(wc_store_load(&again, &error), WC_OK);
    assert_ptr_equal(api, again);
    assert_ptr_not_equal(api->create, wc_store_create); /* the module's own */
    job_write(*state, 1, 5, JOB_NO_MISTAKE);
    job_path(*state, 1, path);
    assert_int_equal(api->reader_open(path, &reader, &error), WC_OK);
    assert_int_equal(api->reader_verify(reader, &verdict, &error), WC_OK);
    assert_int_equal(verdict.failures, 0);
    api->reader_close(reader);
}

static void shows_one_symbol(void **state) {
    (void)state;
    void *module = dlopen(WC_MODULE, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(module);
    assert_non_null(dlsym(module, "wc_store_module"));
    assert_null(dlsym(module, "wc_reader_open"));
    assert_null(dlsym(module, "wc_writer_start"));
    dlclose(module);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_modules),
        cmocka_unit_test_setup_teardown(loads, job_directory, job_remove_directory),
        cmocka_unit_test(shows_one_symbol)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
