// Prints the page of all losses, as `ulmus losses --markdown` does.
#include <cstdio>

#include "ulmus/loss/describe.hpp"

int main() { return std::fputs(ulmus::family_markdown().c_str(), stdout) < 0 ? 1 : 0; }
