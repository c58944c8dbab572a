// Numbers and intervals become JSON and come back. NaN and infinity are written as null and read as NaN;
// `no_interval` is the reason why there is none, else "".
#pragma once

#include <nlohmann/json.hpp>

#include "eval/metrics/bootstrap.hpp"

namespace hearth::eval {

nlohmann::json json_number(double value);
double number_from(const nlohmann::json& json);
nlohmann::json json_interval(const Interval& interval);
void interval_from(const nlohmann::json& json, Interval& interval);
/// An interval with its p.
nlohmann::json json_paired(const PairedInterval& interval);
PairedInterval paired_from(const nlohmann::json& json);

}  // namespace hearth::eval
