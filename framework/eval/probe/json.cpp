// Writes an evaluation as JSON (eval.json of a run folder) and reads it back.
#include "eval/probe/json.hpp"

#include <cmath>
#include <limits>

#include "eval/probe/evaluate.hpp"

namespace hearth::eval {

nlohmann::json json_number(double value) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

double number_from(const nlohmann::json& json) {
    return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

nlohmann::json json_interval(const Interval& interval) {
    return {{"value", json_number(interval.value)}, {"low", json_number(interval.low)},
            {"high", json_number(interval.high)},   {"used", interval.used},
            {"dropped", interval.dropped},          {"patients", interval.patients},
            {"no_interval", no_interval(interval)}};
}

void interval_from(const nlohmann::json& json, Interval& interval) {
    interval.value = number_from(json["value"]);
    interval.low = number_from(json["low"]);
    interval.high = number_from(json["high"]);
    interval.used = json["used"];
    interval.dropped = json["dropped"];
    interval.patients = json.value("patients", std::size_t{0});
}

nlohmann::json json_paired(const PairedInterval& interval) {
    auto json = json_interval(interval);
    json["p_value"] = json_number(interval.p_value);
    return json;
}

PairedInterval paired_from(const nlohmann::json& json) {
    PairedInterval interval;
    interval_from(json, interval);
    interval.p_value = number_from(json["p_value"]);
    return interval;
}

namespace {

nlohmann::json segmentation_json(const Segmentation& s) {
    return {{"dice", json_interval(s.dice)},
            {"dice_positive", json_interval(s.dice_positive)},
            {"threshold", json_number(s.threshold)},
            {"positive", s.positive},
            {"values", s.values},
            {"patients", s.patients},
            {"protocol", s.protocol}};
}

Segmentation segmentation_from(const nlohmann::json& json) {
    Segmentation out;
    interval_from(json["dice"], out.dice);
    interval_from(json["dice_positive"], out.dice_positive);
    out.threshold = number_from(json["threshold"]);
    out.positive = json["positive"];
    out.values = json["values"].get<std::vector<double>>();
    out.patients = json["patients"].get<std::vector<int>>();
    out.protocol = json["protocol"];
    return out;
}

}  // namespace

nlohmann::json to_json(const Evaluation& evaluation) {
    nlohmann::json scores = nlohmann::json::array(), differences = nlohmann::json::array();
    for (const auto& s : evaluation.scores) {
        auto of_classes = nlohmann::json::array(), thresholds = nlohmann::json::array();
        for (const auto& interval : s.class_auc) of_classes.push_back(json_interval(interval));
        for (const double threshold : s.thresholds) thresholds.push_back(json_number(threshold));
        scores.push_back({{"model", s.model},
                          {"classifier", s.classifier},
                          {"auc", json_interval(s.auc)},
                          {"accuracy", json_number(s.accuracy)},
                          {"f1", json_number(s.f1)},
                          {"threshold", json_number(s.threshold)},
                          {"l2", json_number(s.l2)},
                          {"class_auc", of_classes},
                          {"thresholds", thresholds},
                          {"class_l2", s.class_l2},
                          {"learning_rate", s.learning_rate},
                          {"weight_decay", s.weight_decay},
                          {"probabilities", s.probabilities}});
    }
    for (const auto& d : evaluation.differences) {
        differences.push_back({{"classifier", d.classifier},
                               {"model", d.model},
                               {"baseline", d.baseline},
                               {"auc", json_paired(d.auc)}});
    }
    auto segmentation = nlohmann::json();
    if (evaluation.segmentation) segmentation = segmentation_json(*evaluation.segmentation);
    return {{"predicted", evaluation.predicted},
            {"folds", evaluation.folds},
            {"classes", evaluation.classes},
            {"segmentation", segmentation},
            {"several", evaluation.several},
            {"labels", evaluation.labels},
            {"patients", evaluation.patients},
            {"train_images", evaluation.train_images},
            {"test_images", evaluation.test_images},
            {"test_patients", evaluation.test_patients},
            {"protocol", evaluation.protocol},
            {"notes", evaluation.notes},
            {"scores", scores},
            {"differences", differences}};
}

Evaluation evaluation_from_json(const nlohmann::json& json) {
    Evaluation out;
    out.predicted = json.value("predicted", "");
    out.folds = json.value("folds", std::int64_t{0});
    out.classes = json["classes"].get<std::vector<std::string>>();
    out.several = json.value("several", false);
    if (const auto found = json.find("segmentation"); found != json.end() && found->is_object())
        out.segmentation = segmentation_from(*found);
    out.labels = json["labels"].get<std::vector<int>>();
    out.patients = json.value("patients", std::vector<int>());  // not in files of 0.1.0's first weeks
    out.train_images = json["train_images"];
    out.test_images = json["test_images"];
    out.test_patients = json["test_patients"];
    out.protocol = json["protocol"];
    out.notes = json.value("notes", std::vector<std::string>());
    for (const auto& entry : json["scores"]) {
        Score s;
        s.model = entry["model"];
        s.classifier = entry["classifier"];
        interval_from(entry["auc"], s.auc);
        s.accuracy = number_from(entry["accuracy"]);
        s.f1 = number_from(entry["f1"]);
        s.threshold = number_from(entry["threshold"]);
        s.l2 = number_from(entry["l2"]);
        s.probabilities = entry["probabilities"].get<std::vector<double>>();
        for (const auto& interval : entry.value("class_auc", nlohmann::json::array())) {
            s.class_auc.emplace_back();
            interval_from(interval, s.class_auc.back());
        }
        for (const auto& threshold : entry.value("thresholds", nlohmann::json::array()))
            s.thresholds.push_back(number_from(threshold));
        s.class_l2 = entry.value("class_l2", std::vector<double>());
        s.learning_rate = entry.value("learning_rate", 0.0);
        s.weight_decay = entry.value("weight_decay", 0.0);
        out.scores.push_back(std::move(s));
    }
    for (const auto& entry : json["differences"]) {
        Difference d;
        d.classifier = entry["classifier"];
        d.model = entry["model"];
        d.baseline = entry["baseline"];
        d.auc = paired_from(entry["auc"]);
        out.differences.push_back(std::move(d));
    }
    return out;
}

}  // namespace hearth::eval
