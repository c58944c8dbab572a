#include "runs/run_costs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runs/metrics.hpp"

namespace hearth::runs {
namespace {

double median(std::vector<double> values) {
    if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
    std::ranges::sort(values);
    const auto half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double sum_of(const nlohmann::json& parts) {
    double sum = 0;
    for (const auto& part : parts) sum += part.get<double>();
    return sum;
}

}  // namespace

std::vector<std::string> alarms_of(const std::vector<nlohmann::json>& metrics) {
    std::vector<std::string> out;
    for (const auto& line : metrics)
        if (const auto event = line.value("event", ""); event == "collapse" || event == "nan")
            out.push_back(fmt::format("step {}: {} {}", line.value("step", std::int64_t{0}), event,
                                      line.value("reason", line.value("first", ""))));
    return out;
}

Costs read_costs(const std::filesystem::path& folder) {
    Costs out;
    std::vector<double> seconds;
    std::int64_t before = 0;
    double host = 0, device = 0;
    const auto metrics = read_metrics(folder / "metrics.jsonl");
    out.alarms = alarms_of(metrics);
    for (const auto& line : metrics) {
        if (line.contains("event")) continue;
        const auto step = line.value("step", std::int64_t{0});
        // A resumed run logs some steps again.
        if (const auto sum = sum_of(line.value("parts", nlohmann::json::object())); sum > 0 && step > before)
            seconds.push_back(sum / static_cast<double>(step - before));
        before = step;
        host = std::max(host, line.value("memory_mib", 0.0));
        device = std::max(device, line.value("device_memory_mib", 0.0));
    }
    out.seconds_per_step = median(std::move(seconds));
    if (device > 0 || host > 0) out.peak_memory_mib = device > 0 ? device : host;
    return out;
}

}  // namespace hearth::runs
