/* The Python face of reclamation. */
#ifndef CT_RECLAIM_MODULE_H
#define CT_RECLAIM_MODULE_H

#include "reclaim.h"

int ct_reclaim_module_init(PyObject *module, ct_state *st);

#endif
