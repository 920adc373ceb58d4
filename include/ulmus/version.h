/* The version of Ulmus. CMake, the Python package, the program and the library read it here. Usable from C and C++. */
#ifndef ULMUS_VERSION_H
#define ULMUS_VERSION_H

#define ULMUS_VERSION_MAJOR 0
#define ULMUS_VERSION_MINOR 2
#define ULMUS_VERSION_PATCH 0

/* The three parts as a string, "major.minor.patch". */
#define ULMUS_VERSION ULMUS_VERSION_TEXT_(ULMUS_VERSION_MAJOR, ULMUS_VERSION_MINOR, ULMUS_VERSION_PATCH)
#define ULMUS_VERSION_TEXT_(major, minor, patch) ULMUS_VERSION_QUOTE_(major, minor, patch)
#define ULMUS_VERSION_QUOTE_(major, minor, patch) #major "." #minor "." #patch

#endif
