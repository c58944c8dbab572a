// What the sections of a recipe ask for arrives in the requests.
#include "data/requests.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::data;

namespace {

recipe::DataSpec films() {
    recipe::DataSpec spec;
    spec.source = "/films.csv";
    spec.where = "view == \"PA\"";
    spec.phantom_count = 7;
    spec.phantom_seed = 8;
    spec.phantom_lesions = 0.25;
    spec.size = 64;
    spec.fit = "pad";
    spec.max_pixels = 1000;
    spec.label = "finding";
    spec.positive = "yes";
    spec.negative = "no";
    spec.uncertain = "ones";
    spec.blank = "zeros";
    spec.patient = "subject";
    spec.fraction = 0.5;
    spec.folds = 5;
    spec.fold = 3;
    spec.split_seed = 9;
    spec.cache_folder = "/cache";
    spec.workers = 2;
    spec.origin = {"a.toml", 4, 1};
    spec.written["label"] = {"a.toml", 6, 1};
    return spec;
}

recipe::LabelledSpec labelled() {
    recipe::LabelledSpec spec;
    spec.source = "/labelled.csv";
    spec.label = "finding";
    spec.positive = "yes";
    spec.negative = "no";
    spec.uncertain = "ones";
    spec.blank = "zeros";
    spec.patient = "subject";
    spec.phantom_count = 11;
    spec.phantom_seed = 12;
    spec.origin = {"a.toml", 4, 1};
    spec.written["label"] = {"a.toml", 6, 1};
    return spec;
}

}  // namespace

TEST_CASE("[data] names its images") {
    const auto request = dataset_request(films());
    CHECK(request.source == "/films.csv");
    CHECK(request.where == "view == \"PA\"");
    CHECK(request.size == 64);
    CHECK(request.fit == "pad");
    CHECK(request.max_pixels == 1000);
    CHECK(request.phantom_count == 7);
    CHECK(request.phantom_seed == 8);
    CHECK(request.phantom_lesions == 0.25);
}

TEST_CASE("another table is fitted as [data] says, at a size of its own where it has one") {
    const auto request = dataset_request(films(), "/others.csv", "age > 3");
    CHECK(request.source == "/others.csv");
    CHECK(request.where == "age > 3");
    CHECK(request.size == 64);
    CHECK(request.fit == "pad");
    CHECK(request.max_pixels == 1000);
    CHECK(request.phantom_count == 0);
    CHECK(dataset_request(films(), "/others.csv", "", 96).size == 96);
}

TEST_CASE("a labelled section has its own source, phantoms and size") {
    auto spec = labelled();
    const auto request = dataset_request(films(), spec, "split == \"test\"");
    CHECK(request.source == "/labelled.csv");
    CHECK(request.where == "split == \"test\"");
    CHECK(request.size == 64);
    CHECK(request.fit == "pad");
    CHECK(request.phantom_count == 11);
    CHECK(request.phantom_seed == 12);
    CHECK(request.phantom_lesions == 0.5);
    spec.size = 32;
    CHECK(dataset_request(films(), spec, "").size == 32);
}

TEST_CASE("both kinds of section read labels by the same keys") {
    for (const auto& rule : {label_rule(films()), label_rule(labelled())}) {
        CHECK(rule.label == "finding");
        CHECK(rule.positive == "yes");
        CHECK(rule.negative == "no");
        CHECK(rule.uncertain == "ones");
        CHECK(rule.blank == "zeros");
        CHECK(rule.patient == "subject");
        CHECK(rule.where == "a.toml:4:1");
        CHECK(rule.place("label") == "a.toml:6:1");
        CHECK(rule.place("positive") == "a.toml:4:1");
    }
}

TEST_CASE("[data] says which part is trained on and which file it is packed into") {
    const auto rule = subset_rule(films());
    CHECK(rule.fraction == 0.5);
    CHECK(rule.folds == 5);
    CHECK(rule.fold == 3);
    CHECK_FALSE(rule.held_out);
    CHECK(rule.seed == 9);
    auto spec = films();
    const auto request = pack_request(spec);
    CHECK(request.folder == "/cache");
    CHECK(request.size == 64);
    CHECK(request.identity == "pad 1000 reduced");  // files that were packed before are found again
    CHECK(request.workers == 2);
    spec.source = "phantom";
    CHECK(pack_request(spec).identity == "phantom 8 0.25");
}
