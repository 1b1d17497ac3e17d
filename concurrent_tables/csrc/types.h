/* The types of the module, in the order of their making. */
#ifndef CT_TYPES_H
#define CT_TYPES_H

#include "cache.h"
#include "dict.h"
#include "exclusive.h"
#include "frozen.h"
#include "hashtable.h"
#include "reclaim_module.h"
#include "sharded.h"
#include "split.h"
#include "set.h"
#include "views.h"
#include "watching.h"

#endif
