# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate faults in the store, and in the order in which the job calls it: see tests/mutants.py."""

WRITER, PUBLISH, MARK, JOB = "store/writer.c", "store/publish.c", "store/mark.c", "../tests/disk/job.c"

MUTATIONS = [
    ("ranks don't fsync", WRITER, [("TEMP_FAILURE_RETRY(fsync(w->fd)) < 0", "false")], 200),
    ("one fsync of a rank in five is left out", WRITER,
     [("TEMP_FAILURE_RETRY(fsync(w->fd)) < 0", "({ static int n; n++ % 5 ? fsync(w->fd) : 0; }) < 0")], 500),
    ("an fsync that has failed is tried again", WRITER, [("TEMP_FAILURE_RETRY(fsync(w->fd)) < 0", "fsync(w->fd) < 0 && fsync(w->fd) < 0")], 500),
    ("the commit doesn't wait for the last rank", JOB,
     [("step == STEP_CHANNELS + 4)", "step == STEP_CHANNELS + 4 && rank + 1 < a->job->ranks)")], 500),
    ("no fsync before the rename", PUBLISH, [("if (status == WC_OK && TEMP_FAILURE_RETRY(fsync(fd)) < 0)", "if (false)")], 200),
    ("the name is given before the last bytes", PUBLISH,
     [("status = append_trailer(f, error);", "status = give_name(f, error);"),
      ("    if (status == WC_OK)\n        status = give_name(f, error);\n    if (status == WC_OK) {",
       "    snprintf(f->partial, sizeof f->partial, \"%s\", f->final);\n    if (status == WC_OK)\n"
       "        status = append_trailer(f, error);\n    if (status == WC_OK) {")], 500),
    ("no fsync of the directory", PUBLISH, [("if (TEMP_FAILURE_RETRY(fsync(f->dir)) == 0)", "if (true)")], 200),
    ("renamed over another run's snapshot", PUBLISH, [("RENAME_NOREPLACE) == 0", "0) == 0")], 500),
    ("the same where the file system has neither that nor links", PUBLISH,
     [("if (fstatat(dir, to, &s, AT_SYMLINK_NOFOLLOW) == 0) {", "if (false) {")], 2000),
    ("what may get its name after a crash is emptied", PUBLISH, [("    f->named = true;\n", "")], 4000),
    ("pruned before the new one is durable", JOB,
     [("    note(job, JOB_PUBLISHES, id, contents);", "    wc_store_prune(job->dir, keep > 1 ? keep - 1 : 1, error);\n"
       "    note(job, JOB_PUBLISHES, id, contents);")], 1000),
    ("one too many is pruned", "store/prune.c",
     [("remove_snapshots(fd, dir, ids + keep, count - keep, &found);",
       "remove_snapshots(fd, dir, ids + keep - 1, count - keep + 1, &found);")], 200),
    ("an unfinished file counts as a snapshot", "store/directory.c",
     [("return wc_file_parse(name, id, &partial) && !partial &&", "return wc_file_parse(name, id, &partial) &&")], 200),
    ("the mark is not written before it has its name", MARK,
     [("!wc_write_all(fd, text, (size_t)length, 0) || TEMP_FAILURE_RETRY(fsync(fd)) < 0", "!wc_write_all(fd, text, (size_t)length, 0)")], 1000),
    ("no fsync of the directory for the mark", MARK, [("else if (TEMP_FAILURE_RETRY(fsync(dir)) < 0)", "else if (false)")], 1000),
    ("no fsync of the directory when the mark is cleared", MARK, [("} else if (TEMP_FAILURE_RETRY(fsync(fd)) < 0) {", "} else if (false) {")], 2000),
]
