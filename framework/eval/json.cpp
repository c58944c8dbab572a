// An evaluation as JSON (eval.json of a run folder) and back. NaN is written as null.
#include "eval/evaluate.hpp"

#include <cmath>
#include <limits>

namespace hearth::eval {
namespace {

nlohmann::json number(double value) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}
double number(const nlohmann::json& json) {
    return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

nlohmann::json interval(const Interval& i) {
    return {{"value", number(i.value)},
            {"low", number(i.low)},
            {"high", number(i.high)},
            {"used", i.used},
            {"dropped", i.dropped}};
}
void interval(const nlohmann::json& json, Interval& i) {
    i.value = number(json["value"]);
    i.low = number(json["low"]);
    i.high = number(json["high"]);
    i.used = json["used"];
    i.dropped = json["dropped"];
}

}  // namespace

nlohmann::json to_json(const Evaluation& evaluation) {
    nlohmann::json scores = nlohmann::json::array(), differences = nlohmann::json::array();
    for (const auto& s : evaluation.scores)
        scores.push_back({{"model", s.model},
                          {"classifier", s.classifier},
                          {"auc", interval(s.auc)},
                          {"accuracy", number(s.accuracy)},
                          {"f1", number(s.f1)},
                          {"threshold", number(s.threshold)},
                          {"l2", number(s.l2)},
                          {"probabilities", s.probabilities}});
    for (const auto& d : evaluation.differences) {
        auto auc = interval(d.auc);
        auc["p_value"] = number(d.auc.p_value);
        differences.push_back(
            {{"classifier", d.classifier}, {"model", d.model}, {"baseline", d.baseline}, {"auc", auc}});
    }
    return {{"classes", evaluation.classes},
            {"labels", evaluation.labels},
            {"patients", evaluation.patients},
            {"train_images", evaluation.train_images},
            {"test_images", evaluation.test_images},
            {"test_patients", evaluation.test_patients},
            {"protocol", evaluation.protocol},
            {"scores", scores},
            {"differences", differences}};
}

Evaluation evaluation_from_json(const nlohmann::json& json) {
    Evaluation out;
    out.classes = json["classes"].get<std::vector<std::string>>();
    out.labels = json["labels"].get<std::vector<int>>();
    out.patients = json.value("patients", std::vector<int>());  // not in files of 0.1.0's first weeks
    out.train_images = json["train_images"];
    out.test_images = json["test_images"];
    out.test_patients = json["test_patients"];
    out.protocol = json["protocol"];
    for (const auto& entry : json["scores"]) {
        Score s;
        s.model = entry["model"];
        s.classifier = entry["classifier"];
        interval(entry["auc"], s.auc);
        s.accuracy = number(entry["accuracy"]);
        s.f1 = number(entry["f1"]);
        s.threshold = number(entry["threshold"]);
        s.l2 = number(entry["l2"]);
        s.probabilities = entry["probabilities"].get<std::vector<double>>();
        out.scores.push_back(std::move(s));
    }
    for (const auto& entry : json["differences"]) {
        Difference d;
        d.classifier = entry["classifier"];
        d.model = entry["model"];
        d.baseline = entry["baseline"];
        interval(entry["auc"], d.auc);
        d.auc.p_value = number(entry["auc"]["p_value"]);
        out.differences.push_back(std::move(d));
    }
    return out;
}

}  // namespace hearth::eval
