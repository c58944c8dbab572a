// Training images grouped by a buffer of the plan and by columns, and the table of one against the other.
#include "eval/pictures/clusters.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "eval/memory_dataset.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Numbers = std::vector<int>;
using Names = std::vector<std::string>;

/// A plan with the buffers `found` [2, N], of the given numbers, and `means`.
struct GroupedPlan {
    TemporaryFolder folder;
    plan::Plan plan;

    explicit GroupedPlan(const at::Tensor& found)
        : plan(plan::Plan::initial(
              recipe::load(folder.write("a.toml", linear_map + "[[loss]]\nuse = \"test-groups\"\n"
                                                               "reads = { cls = \"student.cls\" }\n"),
                           {"data.size=8"}),
              with_parts())) {
        for (auto& [name, tensor] : plan.state())
            if (name == "loss.test-groups.found") tensor.resize_(found.sizes()).copy_(found);
    }
    Grouping divide(const std::string& buffer, std::int64_t images = 5) const {
        return divide_by_buffer(plan, buffer, images, "--clusters");
    }
    std::string refusal(const std::string& buffer, std::int64_t images = 5) const {
        try {
            static_cast<void>(divide(buffer, images));
        } catch (const RecipeError& error) {
            return error.what();
        }
        return "";
    }
};

at::Tensor two_rows() {
    return at::tensor({7, 2, 7, 10, 2, 0, -1, 1, 1, -1}, at::kLong).reshape({2, 5});
}

}  // namespace

TEST_CASE("a buffer's numbers are groups in their order; below 0 an image is in none") {
    const GroupedPlan made(two_rows());
    const auto first = made.divide("loss.test-groups.found");
    CHECK(first.names == Names{"cluster 2", "cluster 7", "cluster 10"});
    CHECK(first.of == Numbers{1, 0, 1, 2, 0});
    CHECK(made.divide("loss.test-groups.found.0").of == first.of);
    const auto second = made.divide("loss.test-groups.found.1");
    CHECK(second.name == "loss.test-groups.found.1");
    CHECK(second.names == Names{"cluster 0", "cluster 1"});
    CHECK(second.of == Numbers{0, -1, 1, 1, -1});
}

TEST_CASE("a buffer that cannot group the training images is refused") {
    const GroupedPlan made(two_rows());
    CHECK(made.refusal("loss.test-groups.fund.1") ==
          "--clusters: found no buffer 'loss.test-groups.fund.1' in the run's plan; expected one of "
          "loss.test-groups.found [2, 5] (did you mean 'loss.test-groups.found'?)");
    CHECK_THAT(made.refusal("loss.test-groups.found.x"), Contains("found no buffer"));
    CHECK_THAT(made.refusal("loss.test-groups.means"),
               Contains("found loss.test-groups.means with Float numbers [3]; expected one of"));
    CHECK(made.refusal("loss.test-groups.found.2") ==
          "--clusters: found row 2 of loss.test-groups.found [2, 5], expected 0 to 1");
    CHECK_THAT(
        made.refusal("loss.test-groups.found", 6),
        Contains("found loss.test-groups.found [2, 5], expected 6 along the last axis, as [data] has images"));
    const GroupedPlan early(at::empty({2, 0}, at::kLong));
    CHECK_THAT(
        early.refusal("loss.test-groups.found"),
        Contains("found loss.test-groups.found still empty, expected a number for each of 5 training images"));
}

TEST_CASE("cells of a column are groups, numbers by their value; an empty cell is in none") {
    const MemoryDataset images({{"label", {"b", "1.0", "", "1", "b"}}, {"path", {"", "", "", "", ""}}});
    const auto division = divide_by_columns(images, {"label"}, "--by");
    CHECK(division.names == Names{"1", "b"});
    CHECK(division.of == Numbers{1, 0, -1, 0, 1});
    CHECK_THROWS_WITH(
        divide_by_columns(images, {"lable"}, "--by"),
        "--by: found no column 'lable', expected one of label, path (did you mean 'label'?) in the "
        "table of the training images, [data]");
}

TEST_CASE("several columns are groups by what is there") {
    const MemoryDataset images(
        {{"edema", {"1", "0", "1", "", "-1"}}, {"effusion", {"1.0", "0", "0", "1", "0"}}});
    const auto division = divide_by_columns(images, {"edema", "effusion"}, "--by");
    CHECK(division.name == "edema, effusion");
    CHECK(division.names == Names{"edema", "edema + effusion", "effusion", "none"});
    CHECK(division.of == Numbers{1, 3, 0, 2, 3});
}

TEST_CASE("some images keep the groups that they are of, and those in none make one") {
    const Grouping division{"groups", {"a", "b", "c"}, {2, -1, 0, 2}};
    const auto embedding = grouped({at::zeros({3, 2}), {1, 0, 3}}, division, "nothing");
    CHECK(embedding.names == Names{"c", "nothing"});
    CHECK(embedding.groups == Numbers{1, 0, 0});
}

TEST_CASE("clusters against labels, the largest first, without images that lack either") {
    const Grouping clusters{"found", {"x", "y", "z"}, {0, 1, 1, 1, -1, 1, 0, 2}};
    const Grouping labels{"label", {"n", "p", "q"}, {0, 1, 1, 0, 0, 1, 1, -1}};
    const auto table = cross_table(clusters, labels);
    CHECK(table.cluster_names == Names{"y", "x"});
    CHECK(table.label_names == Names{"p", "n"});
    CHECK(table.counts == std::vector<std::vector<std::int64_t>>{{3, 1}, {1, 1}});
    CHECK(table.images == 6);
    CHECK(table.left_out == 2);
    CHECK(table.most_frequent == Approx(4.0 / 6));
    CHECK(table.found.purity == Approx(4.0 / 6));
}
