#include "storage/check/check.h"
