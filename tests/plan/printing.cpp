// A plan as text, Mermaid and Graphviz.
#include <regex>
#include <set>

#include "plan/followers.hpp"
#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// The first group of every match of `pattern` in `text`.
std::set<std::string> matches(const std::string& text, const std::string& pattern) {
    const std::regex regex(pattern);
    std::set<std::string> out;
    for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) out.insert((*at)[1]);
    return out;
}

/// The demo recipe with the student's pass under another name.
std::string renamed_demo() {
    return replaced(small_demo, "\n[data]", "drop.pass = [\"student\"]\n[data]") +
           "[[pass]]\nnetwork = \"student\"\nview = \"abnormal\"\nas = \"ill\"\n";
}

}  // namespace

TEST_CASE("every form of a plan names every node and its component") {
    const auto plan = planned(small_demo);
    REQUIRE(plan.nodes().size() == 10);
    for (const auto& node : plan.nodes()) {
        INFO(node.id);
        CHECK_THAT(plan::to_text(plan), Contains(node.id) && Contains(" " + node.use));
        CHECK_THAT(plan::to_mermaid(plan),
                   Contains("[\"" + node.id + "<br/>") && Contains(" " + node.use + "\"]"));
        CHECK_THAT(plan::to_dot(plan),
                   Contains("\"" + node.id + "\" [label=") && Contains(" " + node.use + "\"]"));
    }
}

TEST_CASE("the text shows ports with names and shapes, parameters, and who follows whom") {
    const auto text = plan::to_text(planned(small_demo));
    CHECK(matches(text, "<- (tokens +student\\.tokens +B 16 48)\n").size() == 1);
    CHECK(matches(text, "-> (restored +student\\.restored +B 1 32 32)\n").size() == 1);
    CHECK(matches(text, "(student\\.backbone +backbone vit +[0-9.]+ M parameters)\n").size() == 1);
    CHECK(matches(text, "(teacher\\.backbone +backbone vit +[0-9.]+ M parameters, no gradient)\n").size() == 1);
    CHECK_THAT(text, Contains("teacher follows student, momentum cosine 0.99 -> 1, after each step"));
}

TEST_CASE("the text says what is not run, and why") {
    const auto text = plan::to_text(planned(
        replaced(restoring, "[[pass]]", "project = { use = \"position-projector\", out = 8 }\n[[pass]]")));
    CHECK(matches(text, "(student\\.project .*\\(not run\\))\n").size() == 1);
    CHECK_THAT(text, Contains("warning: student.project is not run: no loss reads what it writes"));
}

TEST_CASE("Mermaid connects declared nodes only, and shows the follower") {
    for (const auto& text :
         {plan::to_mermaid(planned(small_demo)), plan::to_mermaid(planned(renamed_demo()))}) {
        INFO(text);
        CHECK(text.substr(0, 12) == "flowchart LR");
        const auto declared = matches(text, "\n  (\\w+)[\\[(]");
        auto used = matches(text, "\n  (\\w+) -[-.]");
        const auto ends = matches(text, "\\| (\\w+)\n");
        used.insert(ends.begin(), ends.end());
        REQUIRE(used.size() == 11);  // ten nodes and the data
        CHECK(used == declared);
        CHECK(matches(text, "-\\.->\\|(EMA)\\|").size() == 1);
    }
    CHECK_THAT(plan::to_mermaid(planned(renamed_demo())), Contains("ill_backbone -.->|EMA| teacher_backbone"));
}

TEST_CASE("pictures join a follower to its leader, from backbone to backbone") {
    const auto demo = planned(small_demo);
    const auto edges = plan::follower_edges(demo);
    REQUIRE(edges.size() == 1);
    CHECK(edges[0].leader->id == "student.backbone");
    CHECK(edges[0].follower->id == "teacher.backbone");
    CHECK(edges[0].leader->runs);
    CHECK(edges[0].follower->runs);
}

TEST_CASE("Graphviz has an edge for each connected port") {
    const auto dot = plan::to_dot(planned(small_demo));
    CHECK(dot.substr(0, 9) == "digraph p");
    CHECK_THAT(dot,
               Contains("\"student.backbone\" -> \"student.project\" [label=\"student.tokens B 16 48\"]") &&
                   Contains("\"data.image\" -> \"augment.slm\" [label=\"image B 1 32 32\"]") &&
                   Contains("\"augment.slm\" -> \"loss.restoration\" [label=\"mask B 1 32 32\"]"));
}
