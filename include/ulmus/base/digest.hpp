#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace ulmus {

/// Incremental SHA-256.
class Sha256 {
 public:
  /// Throws Error{environment} if OpenSSL does not provide SHA-256.
  Sha256();
  void add(std::string_view bytes);
  /// 64 lower-case hexadecimal digits. Call it once, at the end.
  std::string hex();

 private:
  std::unique_ptr<void, void (*)(void*)> state_;
};

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits. Throws as Sha256 does.
std::string sha256(std::string_view bytes);

}  // namespace ulmus
