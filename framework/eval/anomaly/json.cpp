// A detection as JSON (detect.json of a run folder) and back, and its scores as CSV.
#include <fmt/format.h>

#include "base/csv.hpp"
#include "eval/anomaly/anomaly.hpp"
#include "eval/probe/json.hpp"

namespace hearth::eval {

namespace {

nlohmann::json results_to_json(const std::vector<AnomalyResult>& results) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& r : results)
        out.push_back({{"name", r.name},
                       {"weight", r.weight},
                       {"auc", json_interval(r.auc)},
                       {"average_precision", json_number(r.average_precision)},
                       {"threshold", json_number(r.threshold)},
                       {"accuracy", json_number(r.accuracy)},
                       {"f1", json_number(r.f1)},
                       {"sensitivity", json_number(r.sensitivity)},
                       {"specificity", json_number(r.specificity)},
                       {"pixel_auroc", json_number(r.pixel_auroc)},
                       {"aupro", json_number(r.aupro)},
                       {"scores", r.scores}});
    return out;
}

std::vector<AnomalyResult> results_from_json(const nlohmann::json& json) {
    std::vector<AnomalyResult> out;
    for (const auto& entry : json) {
        AnomalyResult r;
        r.name = entry["name"];
        r.weight = entry["weight"];
        interval_from(entry["auc"], r.auc);
        r.average_precision = number_from(entry["average_precision"]);
        r.threshold = number_from(entry["threshold"]);
        r.accuracy = number_from(entry["accuracy"]);
        r.f1 = number_from(entry["f1"]);
        r.sensitivity = number_from(entry["sensitivity"]);
        r.specificity = number_from(entry["specificity"]);
        r.pixel_auroc = number_from(entry["pixel_auroc"]);
        r.aupro = number_from(entry["aupro"]);
        r.scores = entry["scores"].get<std::vector<double>>();
        out.push_back(std::move(r));
    }
    return out;
}

}  // namespace

nlohmann::json to_json(const Detection& detection) {
    nlohmann::json differences = nlohmann::json::array(), kinds = nlohmann::json::array();
    for (const auto& d : detection.differences)
        differences.push_back(
            {{"score", detection.sum().name}, {"baseline", d.baseline}, {"auc", json_paired(d.auc)}});
    for (const auto& k : detection.by_kind)
        kinds.push_back({{"kind", k.kind}, {"images", k.images}, {"auc", json_interval(k.auc)}});
    return {{"classes", detection.classes},
            {"labels", detection.labels},
            {"patients", detection.patients},
            {"names", detection.names},
            {"kinds", detection.kinds},
            {"normal_images", detection.normal_images},
            {"validation_images", detection.validation_images},
            {"test_images", detection.test_images},
            {"test_patients", detection.test_patients},
            {"images_with_mask", detection.images_with_mask},
            {"threshold_rule", detection.threshold_rule},
            {"protocol", detection.protocol},
            {"notes", detection.notes},
            {"results", results_to_json(detection.results)},
            {"baselines", results_to_json(detection.baselines)},
            {"baseline_protocol", detection.baseline_protocol},
            {"differences", differences},
            {"by_kind", kinds}};
}

Detection detection_from_json(const nlohmann::json& json) {
    Detection out;
    out.classes = json["classes"].get<std::vector<std::string>>();
    out.labels = json["labels"].get<std::vector<int>>();
    out.patients = json["patients"].get<std::vector<int>>();
    out.names = json["names"].get<std::vector<std::string>>();
    out.kinds = json["kinds"].get<std::vector<std::string>>();
    out.normal_images = json["normal_images"];
    out.validation_images = json["validation_images"];
    out.test_images = json["test_images"];
    out.test_patients = json["test_patients"];
    out.images_with_mask = json["images_with_mask"];
    out.threshold_rule = json["threshold_rule"];
    out.protocol = json["protocol"];
    out.notes = json.value("notes", std::vector<std::string>());
    out.results = results_from_json(json["results"]);
    if (json.contains("baselines")) {  // files of before there were any have none of the three
        out.baselines = results_from_json(json["baselines"]);
        out.baseline_protocol = json["baseline_protocol"];
        for (const auto& entry : json["differences"])
            out.differences.push_back({entry["baseline"], paired_from(entry["auc"])});
    }
    for (const auto& entry : json["by_kind"]) {
        KindResult k;
        k.kind = entry["kind"];
        k.images = entry["images"];
        interval_from(entry["auc"], k.auc);
        out.by_kind.push_back(std::move(k));
    }
    return out;
}

std::string scores_csv(const Detection& detection) {
    std::string text = "path,label,kind,patient";
    for (const auto* results : {&detection.results, &detection.baselines})
        for (const auto& r : *results) text += "," + base::csv_field(r.name);
    text += "\n";
    for (std::size_t i = 0; i < detection.labels.size(); ++i) {
        text += fmt::format("{},{},{},{}", base::csv_field(detection.names[i]), detection.labels[i],
                            detection.kinds.empty() ? "" : base::csv_field(detection.kinds[i]),
                            detection.patients[i]);
        for (const auto* results : {&detection.results, &detection.baselines})
            for (const auto& r : *results) text += fmt::format(",{:.6g}", r.scores[i]);
        text += "\n";
    }
    return text;
}

}  // namespace hearth::eval
