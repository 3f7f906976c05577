/* The files of dashboard/, compiled into the program. */
#ifndef CDASHBOARD_H
#define CDASHBOARD_H

#include <stddef.h>

struct cdashboard_file {
    /* As in the folder. */
    const char *name;
    /* Its media type, RFC 6838. */
    const char *type;
    const unsigned char *bytes;
    size_t size;
};

extern const struct cdashboard_file *const cdashboard_files;
extern const size_t cdashboard_count;

#endif
