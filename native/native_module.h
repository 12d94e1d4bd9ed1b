/* native_module.h: what the generated code of corelaunch._native and its C sources include. */
#ifndef CL_NATIVE_MODULE_H
#define CL_NATIVE_MODULE_H

#include <stdint.h>

#include "protocol.h"

#include "native_api.h"

#endif
