// The prototype bank: Sinkhorn-Knopp against loops, eq. 7 against its closed form, ranks against one process.
#include <catch2/catch.hpp>
#include <cmath>

#include "cases.hpp"

namespace contrast_prototypes {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Head> bank(std::int64_t length, std::int64_t clusters, const Changes& changes = {}) {
    auto made = make<Head>("prototype-bank", changes, symbols(length, clusters));
    made->to(at::kDouble);
    return made;
}

/// SwAV's algorithm, entry by entry: scores [N, K] -> assignments.
at::Tensor naive_sinkhorn(const at::Tensor& scores, double epsilon, int iterations) {
    const auto samples = scores.size(0), clusters = scores.size(1);
    auto q = at::exp(scores / epsilon);
    auto cell = q.accessor<double, 2>();
    for (int t = 0; t < iterations; ++t) {
        for (int k = 0; k < clusters; ++k) {
            double sum = 0;
            for (int n = 0; n < samples; ++n) sum += cell[n][k];
            for (int n = 0; n < samples; ++n) cell[n][k] /= sum * static_cast<double>(clusters);
        }
        for (int n = 0; n < samples; ++n) {
            double sum = 0;
            for (int k = 0; k < clusters; ++k) sum += cell[n][k];
            for (int k = 0; k < clusters; ++k) cell[n][k] /= sum * static_cast<double>(samples);
        }
    }
    return q * static_cast<double>(samples);
}

at::Tensor scores(std::int64_t batch, std::int64_t length, std::int64_t clusters, std::uint64_t seed = 3) {
    at::manual_seed(seed);
    return at::rand({batch, length, clusters}, at::kDouble) * 2 - 1;
}

}  // namespace

TEST_CASE("Sinkhorn-Knopp equals the loops") {
    const auto z = scores(3, 4, 5);
    const Changes changes = {{"epsilon", Schedule(0.2)}, {"iterations", std::int64_t{3}}};
    const auto out = bank(4, 5, changes)->forward({{"logits", z}}, Context{});
    const auto q = naive_sinkhorn(z.reshape({12, 5}), 0.2, 3).view({3, 4, 5});
    CHECK(distance(out["assignments"], q) < 1e-12);

    auto per_position = changes;
    per_position.emplace_back("over", std::string("position"));
    const auto split = bank(4, 5, per_position)->forward({{"logits", z}}, Context{});
    for (int j = 0; j < 4; ++j)
        CHECK(distance(split["assignments"].select(1, j), naive_sinkhorn(z.select(1, j).contiguous(), 0.2, 3)) <
              1e-12);
}

TEST_CASE("rows of the assignments are distributions and clusters share the tokens equally") {
    const auto z = scores(8, 9, 6);
    const auto q =
        bank(9, 6, {{"iterations", std::int64_t{100}}})->forward({{"logits", z}}, Context{})["assignments"];
    CHECK(distance(q.sum(-1), at::ones({8, 9}, at::kDouble)) < 1e-12);
    CHECK(distance(q.sum(at::IntArrayRef({0, 1})), at::full({6}, 72.0 / 6, at::kDouble)) < 0.05);
    // Three iterations, at the spread of logits that a new teacher has.
    const auto few = bank(9, 6)->forward({{"logits", z * 0.1}}, Context{})["assignments"];
    CHECK(distance(few.sum(-1), at::ones({8, 9}, at::kDouble)) < 1e-12);
    CHECK(distance(few.sum(at::IntArrayRef({0, 1})), at::full({6}, 72.0 / 6, at::kDouble)) < 0.01 * 72 / 6);
}

TEST_CASE("Sinkhorn-Knopp is finite for scores of any size, in fp32") {
    for (const double scale : {1.0, 50.0, 1e4}) {
        const auto z = (scores(4, 4, 5) * scale).to(at::kFloat);
        auto head = make<Head>("prototype-bank", {}, symbols(4, 5));
        const auto q = head->forward({{"logits", z + 1000}}, Context{})["assignments"];
        CHECK(q.isfinite().all().item<bool>());
        CHECK(distance(q.sum(-1), at::ones({4, 4})) < 1e-5);
    }
}

TEST_CASE("fp32 assignments are close to the double ones, also for bf16 logits") {
    const auto z = scores(8, 4, 16);
    const auto exact = bank(4, 16)->forward({{"logits", z}}, Context{})["assignments"];
    auto head = make<Head>("prototype-bank", {}, symbols(4, 16));
    const auto single = head->forward({{"logits", z.to(at::kFloat)}}, Context{})["assignments"];
    CHECK(distance(single.to(at::kDouble), exact) < 1e-5);
    const Autocast autocast;
    const auto half = head->forward({{"logits", z.to(at::kBFloat16)}}, Context{})["assignments"];
    CHECK(half.scalar_type() == at::kFloat);
    CHECK(distance(half.to(at::kDouble), exact) < 0.1);
}

TEST_CASE("prototypes follow eq. 7 in closed form") {
    const double m = 0.6;
    const auto head = bank(4, 5, {{"momentum", Schedule(m)}});
    CHECK(distance(head->named_buffers()["prototypes"], at::full({4, 5}, 0.2, at::kDouble)) < 1e-7);
    at::Tensor expected, last;
    const int steps = 6;
    for (int t = 1; t <= steps; ++t) {
        const auto z = scores(3, 4, 5, 10 + static_cast<std::uint64_t>(t));
        const auto out = head->forward({{"logits", z}}, Context{});
        const auto q = out["assignments"].mean(0);
        // c_n = m^(n-1) q_1 + sum_{t>1} (1 - m) m^(n-t) q_t
        const auto share = std::pow(m, steps - t) * (t == 1 ? 1 : 1 - m);
        expected = t == 1 ? share * q : expected + share * q;
        last = out["prototypes"];
        if (t == 1) CHECK(at::equal(last, q));
    }
    CHECK(distance(last, expected) < 1e-14);
    CHECK(distance(last.sum(-1), at::ones({4}, at::kDouble)) < 1e-14);
    CHECK(head->named_buffers()["updates"].item<std::int64_t>() == steps);
}

TEST_CASE("a step that accumulates batches moves the bank once, by the mean over all of them") {
    const auto whole = scores(6, 4, 5, 1), later = scores(6, 4, 5, 2);
    // Sinkhorn-Knopp by position and without iterations is a softmax: it does not depend on the batch.
    const Changes changes = {{"iterations", std::int64_t{0}}, {"momentum", Schedule(0.6)}};
    const auto once = bank(4, 5, changes), parts = bank(4, 5, changes);
    for (const auto& z : {whole, later}) {
        at::Tensor last;
        parts->before_step({});
        for (int i = 0; i < 3; ++i)
            last = parts->forward({{"logits", z.slice(0, 2 * i, 2 * i + 2)}}, {})["prototypes"];
        parts->after_step({});
        const auto expected = once->forward({{"logits", z}}, {})["prototypes"];
        CHECK(distance(last, expected) < 1e-14);
        CHECK(distance(parts->named_buffers()["prototypes"], expected) < 1e-14);
    }
    CHECK(parts->named_buffers()["updates"].item<std::int64_t>() == 2);
}

TEST_CASE("the bank learns in training only, and what it returned stays as it was") {
    const auto head = bank(4, 5);
    Context evaluation;
    evaluation.training = evaluation.learns = false;
    const auto first = head->forward({{"logits", scores(3, 4, 5, 1)}}, Context{})["prototypes"];
    const auto copy = first.clone();
    const auto seen = head->forward({{"logits", scores(3, 4, 5, 2)}}, evaluation)["prototypes"];
    CHECK(at::equal(seen, copy));
    head->forward({{"logits", scores(3, 4, 5, 2)}}, Context{});
    CHECK(at::equal(first, copy));
    CHECK(!at::equal(head->named_buffers()["prototypes"], copy));
}

TEST_CASE("without memory prototypes are the mean of the batch") {
    const auto head = bank(4, 5, {{"memory", false}});
    head->forward({{"logits", scores(3, 4, 5, 1)}}, Context{});
    const auto out = head->forward({{"logits", scores(3, 4, 5, 2)}}, Context{});
    CHECK(at::equal(out["prototypes"], out["assignments"].transpose(0, 1).sum(1) / 3));
    CHECK(head->named_buffers()["updates"].item<std::int64_t>() == 0);
}

TEST_CASE("copy_epochs replaces the bank in every step of the first epochs") {
    const auto head = bank(4, 5, {{"copy_epochs", std::int64_t{1}}});
    Context context;
    context.progress = {.step = 0, .total_steps = 20, .steps_per_epoch = 10};
    head->forward({{"logits", scores(3, 4, 5, 1)}}, context);
    context.progress.step = 9;
    auto out = head->forward({{"logits", scores(3, 4, 5, 2)}}, context);
    CHECK(distance(out["prototypes"], out["assignments"].mean(0)) < 1e-15);
    context.progress.step = 10;
    out = head->forward({{"logits", scores(3, 4, 5, 3)}}, context);
    CHECK(distance(out["prototypes"], out["assignments"].mean(0)) > 1e-3);
}

TEST_CASE("sinkhorn_on = prototypes averages raw logits and normalises the matrix, as the official code") {
    const auto head = bank(4, 5, {{"sinkhorn_on", std::string("prototypes")}, {"momentum", Schedule(0.75)}});
    const auto first = scores(3, 4, 5, 1), second = scores(3, 4, 5, 2);
    head->forward({{"logits", first}}, Context{});
    const auto out = head->forward({{"logits", second}}, Context{});
    const auto mean = (0.75 * first.mean(0) + 0.25 * second.mean(0)).contiguous();
    CHECK(distance(out["prototypes"], naive_sinkhorn(mean, 0.05, 3)) < 1e-12);
    CHECK(!out.has("assignments"));
    const auto& type = registry().find(Kind::head, "prototype-bank");
    const auto raw = options(type, {{"sinkhorn_on", std::string("prototypes")}});
    CHECK(type.writes(raw, symbols(4, 5)).size() == 1);
}

TEST_CASE("two ranks hold the bank of the whole batch") {
    const std::string over = GENERATE("batch", "position"), on = GENERATE("assignments", "prototypes");
    const Changes changes = {{"over", over}, {"sinkhorn_on", on}};
    const auto whole = bank(4, 5, changes);
    std::vector<at::Tensor> batches;
    Tensors expected;
    for (std::uint64_t t = 0; t < 3; ++t) {
        batches.push_back(scores(4, 4, 5, 20 + t));
        expected = whole->forward({{"logits", batches.back()}}, Context{});
    }
    std::vector<Tensors> found(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto head = bank(4, 5, changes);
        Context context;
        context.comm = &comm;
        for (const auto& batch : batches)
            found[comm.rank()] = head->forward({{"logits", batch.narrow(0, comm.rank() * 2, 2)}}, context);
    });
    CHECK(at::equal(found[0]["prototypes"], found[1]["prototypes"]));
    CHECK(distance(found[0]["prototypes"], expected["prototypes"]) < 1e-14);
    if (on == "assignments")
        CHECK(distance(at::cat({found[0]["assignments"], found[1]["assignments"]}), expected["assignments"]) <
              1e-13);
}

TEST_CASE("no gradient reaches the teacher") {
    auto z = scores(3, 4, 5).set_requires_grad(true);
    const auto out = bank(4, 5)->forward({{"logits", z}}, Context{});
    CHECK(!out["assignments"].requires_grad());
    CHECK(!out["prototypes"].requires_grad());
}

TEST_CASE("prototypes and their count are buffers, so a checkpoint restores them") {
    const auto head = bank(4, 5);
    head->forward({{"logits", scores(3, 4, 5, 1)}}, Context{});
    std::stringstream file;
    {
        torch::serialize::OutputArchive archive;
        head->save(archive);
        archive.save_to(file);
    }
    const auto restored = bank(4, 5);
    torch::serialize::InputArchive archive;
    archive.load_from(file);
    restored->load(archive);
    const auto next = scores(3, 4, 5, 2);
    CHECK(at::equal(head->forward({{"logits", next}}, Context{})["prototypes"],
                    restored->forward({{"logits", next}}, Context{})["prototypes"]));
    CHECK(restored->named_buffers()["updates"].item<std::int64_t>() == 2);
}

TEST_CASE("a bank of one cluster or one position works") {
    const auto one_cluster = bank(4, 1)->forward({{"logits", scores(3, 4, 1)}}, Context{});
    CHECK(one_cluster["prototypes"].eq(1).all().item<bool>());
    const auto one_position = bank(1, 5)->forward({{"logits", scores(3, 1, 5)}}, Context{});
    CHECK(distance(one_position["prototypes"].sum(-1), at::ones({1}, at::kDouble)) < 1e-14);
}

}  // namespace contrast_prototypes
