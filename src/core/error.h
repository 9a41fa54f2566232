#pragma once

// Users of the library catch the same class.
#include "reprise/error.h"
