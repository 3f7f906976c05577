// What Glibc's Swift module leaves out: what C declares with variable arguments, or for _GNU_SOURCE alone.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>

// Has the kernel send SIGCONT to this process when the thread ends that started it.
static inline int continue_at_parent_death(void) { return prctl(PR_SET_PDEATHSIG, SIGCONT); }

// A GNU extension whose number differs between processors: for open(2), past the page cache.
static const int clinux_o_direct =
#ifdef __O_DIRECT
    __O_DIRECT;
#else
    O_DIRECT;
#endif

// Closes all files from this number on in a process that is spawned; glibc 2.34.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);
