#pragma once

#include <cstdint>

namespace ulmus {

/// A non-owning row-major matrix: element (i, j) is `data[i * row_stride + j]`. The whole library stores logits this
/// way: `rows` = N samples, `columns` = C classes.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;  ///< in elements, at least `columns`

  MatrixView() = default;
  MatrixView(T* data_, std::int64_t rows_, std::int64_t columns_) : MatrixView(data_, rows_, columns_, columns_) {}
  MatrixView(T* data_, std::int64_t rows_, std::int64_t columns_, std::int64_t row_stride_)
      : data(data_), rows(rows_), columns(columns_), row_stride(row_stride_) {}

  T* row(std::int64_t i) const { return data + i * row_stride; }
  bool empty() const { return data == nullptr; }
};

}  // namespace ulmus
