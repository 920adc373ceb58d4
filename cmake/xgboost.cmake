# Finds XGBoost and defines ulmus::xgboost; ulmus_xgboost_FOUND says whether it is there. XGBoost's own package file is not
# used: Debian's refers to a program that its package does not contain, and so fails.
find_path(ULMUS_XGBOOST_INCLUDE_DIR xgboost/c_api.h)
find_library(ULMUS_XGBOOST_LIBRARY xgboost)
mark_as_advanced(ULMUS_XGBOOST_INCLUDE_DIR ULMUS_XGBOOST_LIBRARY)
set(ulmus_xgboost_FOUND FALSE)
if(ULMUS_XGBOOST_INCLUDE_DIR AND ULMUS_XGBOOST_LIBRARY)
  set(ulmus_xgboost_FOUND TRUE)
  if(NOT TARGET ulmus::xgboost)
    add_library(ulmus::xgboost UNKNOWN IMPORTED)
    set_target_properties(ulmus::xgboost PROPERTIES IMPORTED_LOCATION "${ULMUS_XGBOOST_LIBRARY}"
                                                    INTERFACE_INCLUDE_DIRECTORIES "${ULMUS_XGBOOST_INCLUDE_DIR}")
    set_target_properties(ulmus::xgboost PROPERTIES IMPORTED_GLOBAL TRUE)
  endif()
endif()
