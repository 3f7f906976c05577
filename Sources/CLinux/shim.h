// What Glibc's Swift module leaves out, since C declares it with variable arguments.
#include <signal.h>
#include <sys/prctl.h>

// Has the kernel send SIGCONT to this process when the thread ends that started it.
static inline int continue_at_parent_death(void) { return prctl(PR_SET_PDEATHSIG, SIGCONT); }
