# Turns a page into a C++ source, with the style that all pages share in it:
# cmake -DNAME=k_page -DPAGE=page.html -DCSS=page.css -DTEMPLATE=page.cpp.in -DOUTPUT=page.cpp -P embed.cmake
file(READ "${PAGE}" PAGE_TEXT)
file(READ "${CSS}" CSS_TEXT)
string(REPLACE "@PAGE_CSS@\n" "${CSS_TEXT}" PAGE_TEXT "${PAGE_TEXT}")
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
