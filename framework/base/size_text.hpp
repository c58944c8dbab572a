// Sizes of files and of memory are written in MiB and GiB, units of 1024, wherever people read them.
#pragma once

#include <string>

namespace hearth::base {

/// "0.3 MiB", "512.0 MiB", "1.50 GiB".
std::string size_text(double bytes);

}  // namespace hearth::base
