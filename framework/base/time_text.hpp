// Times are written here as people and files read them.
#pragma once

#include <string>

namespace hearth::base {

/// "1 h 02 min", "3 min 05 s", "12 s".
std::string duration_text(double seconds);

/// The time of this moment in UTC: "2026-11-24T20:01:30Z".
std::string utc_now();

}  // namespace hearth::base
