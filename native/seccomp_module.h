/* seccomp_module.h: what the generated code of corelaunch._seccomp and its C source include. */
#ifndef CL_SECCOMP_MODULE_H
#define CL_SECCOMP_MODULE_H

#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>

#include "seccomp_api.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#endif
