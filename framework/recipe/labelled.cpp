// What [probe] and [eval] may ask for: refused when a recipe is loaded, not after it was trained.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/steps.hpp"
#include "recipe/word_list.hpp"

namespace hearth::recipe {
namespace {

const std::vector<std::string> known_probes = {"linear", "knn", "attentive"};

/// One section, and where its problems go.
struct Check {
    const std::string& section;
    const LabelledSpec& spec;
    Diagnostics& problems;

    void complain(const std::string& key, const std::string& what) const {
        problems.add(spec.place(key), fmt::format("{}.{}: {}", section, key, what));
    }

    void probes() const {
        if (spec.probes.empty())
            complain("probe", fmt::format("found nothing, expected one or more of {}", join(known_probes)));
        for (auto probe = spec.probes.begin(); probe != spec.probes.end(); ++probe) {
            if (!contains(known_probes, *probe))
                complain("probe", fmt::format("found \"{}\", expected one or more of {}{}", *probe,
                                              join(known_probes), did_you_mean(*probe, known_probes)));
            else if (std::find(spec.probes.begin(), probe, *probe) != probe)
                complain("probe", fmt::format("found \"{}\" twice, expected each once", *probe));
        }
    }

    void network(const Recipe& recipe) const {
        if (spec.network.empty()) return;
        std::vector<std::string> readable;
        for (const auto& network : recipe.networks) {
            const auto* leader = network.follows.empty() ? &network : recipe.network(network.follows);
            if (leader != nullptr && leader->backbone) readable.push_back(network.name);
        }
        if (!contains(readable, spec.network))
            complain("network", fmt::format("there is no network '{}' with a backbone, expected one of {}{}",
                                            spec.network, readable.empty() ? "none" : join(readable),
                                            did_you_mean(spec.network, readable)));
    }

    /// Keys that say what to do with frozen features, where no features are read.
    void head() const {
        if (spec.head.empty()) {
            if (!spec.mask.empty())
                complain("mask",
                         fmt::format("found \"{}\" without head, expected the logits that are measured, "
                                     "such as head = \"student.logits\"",
                                     spec.mask));
            return;
        }
        const auto instead = fmt::format(
            "with head = \"{}\", which is evaluated instead of frozen features; remove one of them", spec.head);
        if (!spec.network.empty()) complain("network", fmt::format("found \"{}\" {}", spec.network, instead));
        if (!spec.region.empty()) complain("region", fmt::format("found \"{}\" {}", spec.region, instead));
        if (spec.folds > 0)
            complain("folds", fmt::format("found {} {}; a head that is trained is tested in folds by "
                                          "data.folds = {}, data.label and folds = 0",
                                          spec.folds, instead, spec.folds));
        if (spec.probes != LabelledSpec().probes)
            complain("probe", fmt::format("found \"{}\" {}", join(spec.probes), instead));
    }

    void features() const {
        static const std::vector<std::string> known = {"cls", "mean", "cls+mean"};
        if (!spec.features.empty() && !contains(known, spec.features))
            complain("features",
                     fmt::format("found \"{}\", expected one of {}, or \"\" for what the backbone says{}",
                                 spec.features, join(known), did_you_mean(spec.features, known)));
    }

    /// A region has no class token, and an attention over all tokens would leave it.
    void region() const {
        if (spec.region.empty()) return;
        if (!spec.features.empty() && spec.features != "mean")
            complain("features",
                     fmt::format("found \"{}\" with region = \"{}\", expected \"mean\": features of a "
                                 "region are the mean of its tokens",
                                 spec.features, spec.region));
        if (spec.has_probe("attentive"))
            complain("probe", fmt::format("found attentive with region = \"{}\", expected linear, knn or both: "
                                          "attentive attends over the tokens of the whole image",
                                          spec.region));
    }

    void folds(const Recipe& recipe) const {
        if (spec.folds == 0) return;
        if (spec.folds == 1) complain("folds", "found 1, expected 0 (none) or at least 2");
        if (!spec.test_where.empty())
            complain("test_where",
                     fmt::format("found '{}' with folds = {}, expected \"\": the rows of train_where "
                                 "are divided, and each fold is tested on in its turn",
                                 spec.test_where, spec.folds));
        if (spec.fraction < 1)
            complain("fraction",
                     fmt::format("found {} with folds = {}, expected one of them", spec.fraction, spec.folds));
        if (recipe.data.folds > 0)
            complain("folds",
                     fmt::format("found {} with data.folds = {}, expected one of them: data.folds divides "
                                 "what the network trains on as well",
                                 spec.folds, recipe.data.folds));
    }

    void labels() const {
        const auto columns = word_list(spec.label);
        for (auto column = columns.begin(); column != columns.end(); ++column)
            if (std::find(columns.begin(), column, *column) != column)
                complain("label", fmt::format("found column '{}' twice, expected each once", *column));
        if (columns.size() > 1 && !spec.positive.empty())
            complain("positive",
                     fmt::format("found \"{}\" with {} label columns, expected none: each column is "
                                 "1 or 0 by itself",
                                 spec.positive, columns.size()));
    }
};

}  // namespace

const Origin& LabelledSpec::place(const std::string& key) const {
    const auto found = written.find(key);
    return found == written.end() ? origin : found->second;
}

bool LabelledSpec::has_probe(const std::string& probe) const {
    return contains(probes, probe);
}

void check_labelled(const std::string& section, const LabelledSpec& spec, const Recipe& recipe,
                    Diagnostics& problems) {
    const Check check{section, spec, problems};
    check.probes();
    check.network(recipe);
    check.head();
    check.features();
    check.region();
    check.folds(recipe);
    check.labels();
}

}  // namespace hearth::recipe
