// data.samples_per_image: what sees only the image is computed once for all samples of it, and nothing changes.
#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

constexpr std::int64_t copies = 3;

plan::Plan with_copies(std::int64_t count) {
    at::manual_seed(1);
    return planned(small_demo, {"data.samples_per_image=" + std::to_string(count), "train.batch=6",
                                "pass.teacher.view=image"});
}

/// Two images, three times each, with what an augment could have made of them.
Tensors batch_of_copies() {
    at::manual_seed(2);
    const auto image = at::rand({2, 1, 32, 32}).repeat_interleave(copies, 0);
    const auto mask = (at::rand({6, 1, 32, 32}) > 0.7).to(at::kFloat);
    const auto noise = at::rand({6, 1, 32, 32});
    return {
        {"image", image}, {"normal", image}, {"mask", mask}, {"abnormal", at::where(mask > 0, noise, image)}};
}

std::int64_t rows_seen(const plan::Plan& plan, const std::string& id, const Tensors& batch) {
    for (std::size_t i = 0; i < plan.nodes().size(); ++i)
        if (plan.nodes()[i].id == id)
            return batch["image"].size(0) / (plan.phases().front().uses[i].once_per_image ? copies : 1);
    return 0;
}

}  // namespace

TEST_CASE("the step with shared passes is the step without, value for value and gradient for gradient") {
    const auto plain = with_copies(1), shared = with_copies(copies);
    const auto batch = batch_of_copies();
    Context context;
    context.progress = {.step = 3, .total_steps = 10, .steps_per_epoch = 2};
    auto expected = plain.step(batch, context), found = shared.step(batch, context);
    CHECK(found.total.item<double>() == Approx(expected.total.item<double>()).epsilon(1e-5));
    REQUIRE(found.terms.size() == expected.terms.size());
    for (std::size_t i = 0; i < found.terms.size(); ++i)
        CHECK(found.terms[i].second.item<double>() ==
              Approx(expected.terms[i].second.item<double>()).epsilon(1e-4).margin(1e-6));
    expected.total.backward();
    found.total.backward();
    check_same_gradients(plain, shared);
}

TEST_CASE(
    "a follower on the plain image runs once for each image, what is trained or sees a view runs for all") {
    const auto plan = with_copies(copies);
    const auto batch = batch_of_copies();
    CHECK(rows_seen(plan, "teacher.backbone", batch) == 2);
    CHECK(rows_seen(plan, "teacher.project", batch) == 2);
    CHECK(rows_seen(plan, "student.backbone", batch) == 6);
    const auto out = plan.step(batch, {});
    CHECK(out.tensors["teacher.tokens"].size(0) == 6);
    CHECK(at::equal(out.tensors["teacher.tokens"][0], out.tensors["teacher.tokens"][2]));
}

TEST_CASE("an observer sees every node that runs, and the end") {
    const auto plan = with_copies(copies);
    std::vector<std::string> seen;
    bool ended = false;
    plan.step(batch_of_copies(), {}, [&](const plan::Node* node) {
        CHECK_FALSE(ended);
        if (node != nullptr)
            seen.push_back(node->id);
        else
            ended = true;
    });
    CHECK(ended);
    std::vector<std::string> expected;
    for (const auto& node : plan.nodes())
        if (node.runs && node.kind != Kind::augment) expected.push_back(node.id);
    CHECK(seen == expected);
}

TEST_CASE("a batch holds whole images") {
    CHECK_THROWS_WITH(planned(small_demo, {"data.samples_per_image=4", "train.batch=6"}),
                      Contains("data.samples_per_image: found 4 with train.batch = 6, expected a divisor"));
}
