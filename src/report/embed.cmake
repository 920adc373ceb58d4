# Turns the page template into a C++ source: cmake -DNAME=k_page -DPAGE=page.html -DTEMPLATE=page.cpp.in -DOUTPUT=page.cpp -P embed.cmake
file(READ "${PAGE}" PAGE_TEXT)
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
