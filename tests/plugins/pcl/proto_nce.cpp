// ProtoNCE: values against a loop, where prototypes come from and when.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "cases.hpp"

namespace pcl_proto_nce {

using namespace hearth;
using namespace hearth::test;

namespace {

using Counts = std::vector<std::int64_t>;

/// Features as a run would deliver them, in batches of four.
class Features : public TrainingSet {
  public:
    explicit Features(at::Tensor rows) : rows_(std::move(rows)) {}
    std::int64_t size() const override { return rows_.size(0); }
    void each(const Use& use) const override {
        ++passes;
        for (std::int64_t i = 0; i < size(); i += 4) {
            const auto end = std::min(i + 4, size());
            use({{"features", rows_.slice(0, i, end)}}, at::arange(i, end));
        }
    }
    mutable int passes = 0;

  private:
    at::Tensor rows_;
};

std::shared_ptr<Loss> with(const Counts& clusters, std::int64_t width, const Changes& more = {}) {
    Changes changes{{"clusters", clusters}, {"start_epoch", std::int64_t{0}}};
    changes.insert(changes.end(), more.begin(), more.end());
    return loss_of("proto-nce", changes, width);
}

/// Puts prototypes where a clustering would.
void give(Loss& loss, const at::Tensor& centroids, const at::Tensor& phi, const at::Tensor& assignments) {
    const auto put = [&](const char* name, const at::Tensor& value) {
        buffer(loss, name).resize_(value.sizes()).copy_(value);
    };
    put("centroids", centroids);
    put("concentrations", phi);
    put("assignments", assignments);
}

Tensors batch(const at::Tensor& query, const at::Tensor& index) {
    return {{"query", query}, {"index", index}};
}

at::Tensor indices(const std::vector<std::int64_t>& rows) {
    return at::tensor(rows, at::kLong);
}

double value(Loss& loss, const at::Tensor& query, const at::Tensor& index, const Context& context = {}) {
    return loss.forward(batch(query, index), context).total.item<double>();
}

Context in_epoch(std::int64_t epoch, const TrainingSet* set = nullptr) {
    Context context;
    context.progress = {.step = epoch * 10, .total_steps = 1000, .steps_per_epoch = 10};
    context.set = set;
    return context;
}

/// Eq. 11 as the official code reads it, of one clustering with all other clusters as negatives.
double reference(const at::Tensor& query, const at::Tensor& centroids, const at::Tensor& phi,
                 const std::vector<std::int64_t>& own, bool repeats) {
    const std::set<std::int64_t> taken(own.begin(), own.end());
    std::vector<std::int64_t> columns(own);
    if (!repeats) columns.assign(taken.begin(), taken.end());
    for (std::int64_t k = 0; k < centroids.size(0); ++k)
        if (taken.count(k) == 0) columns.push_back(k);
    double sum = 0;
    for (std::size_t i = 0; i < own.size(); ++i) {
        const auto logit = [&](std::int64_t k) {
            return query[static_cast<std::int64_t>(i)].dot(centroids[k]).item<double>() / phi[k].item<double>();
        };
        double all = 0;
        for (const auto k : columns) all += std::exp(logit(k));
        sum -= logit(own[i]) - std::log(all);
    }
    return sum / static_cast<double>(own.size());
}

}  // namespace

TEST_CASE("a query on its own prototype, r others orthogonal: ln(1 + r e^-5)") {
    const auto axes = at::eye(10, at::kDouble);
    for (const std::int64_t others : {1, 4, 8}) {
        const auto loss = with({10}, 10, {{"negatives", others}});
        give(*loss, axes, at::full({10}, 0.2, at::kDouble), at::arange(10).unsqueeze(0));
        const auto out = loss->forward(batch(axes.slice(0, 3, 4), indices({3})), {});
        CHECK(out.total.item<double>() ==
              Approx(std::log(1 + static_cast<double>(others) * std::exp(-5.0))).epsilon(1e-12));
        CHECK(term(out, "accuracy") == 1);
        CHECK(term(out, "concentration") == Approx(0.2));
        CHECK(term(out, "clusters_used") == 1);
    }
}

TEST_CASE("proto-nce is eq. 11 over several clusterings, a cluster counts once for each of its images") {
    const Counts counts{4, 7};
    const auto query = directions(4, 5, 1), centroids = directions(11, 5, 2);
    const auto phi = at::linspace(0.1, 0.4, 11, at::kDouble);
    const auto assignments = at::tensor({0, 1, 2, 3, 0, 1, 6, 5, 4, 3, 2, 1}, at::kLong).view({2, 6});
    const std::vector<std::int64_t> images{4, 0, 2, 5}, first{0, 0, 2, 1}, second{2, 6, 4, 1};
    for (const bool repeats : {true, false}) {
        const auto loss = with(counts, 5, {{"repeats", repeats}});
        give(*loss, centroids, phi, assignments);
        const auto expected = (reference(query, centroids.slice(0, 0, 4), phi.slice(0, 0, 4), first, repeats) +
                               reference(query, centroids.slice(0, 4), phi.slice(0, 4), second, repeats)) /
                              2;
        const auto out = loss->forward(batch(query, indices(images)), {});
        CHECK(out.total.item<double>() == Approx(expected).epsilon(1e-12));
        CHECK(out.per_sample.mean().item<double>() == Approx(expected).epsilon(1e-12));
        CHECK(term(out, "clusters_used") == Approx((1 + 6.0 / 7) / 2));
    }
}

TEST_CASE("negatives are clusters of no image of the batch, drawn anew for each batch") {
    const auto axes = at::eye(12, at::kDouble);
    const auto loss = with({12}, 12, {{"negatives", std::int64_t{5}}});
    give(*loss, axes, at::full({12}, 0.2, at::kDouble), at::arange(12).unsqueeze(0));
    // Orthogonal ones cost the same whichever they are; the batch's own and 5 others: as long as there are 5.
    const auto cost = [&](std::int64_t images) {
        return value(*loss, axes.slice(0, 0, images), at::arange(images));
    };
    for (const std::int64_t images : {1, 4, 7})
        CHECK(cost(images) == Approx(std::log(1 + static_cast<double>(images - 1 + 5) * std::exp(-5.0))));
    CHECK(cost(9) == Approx(std::log(1 + 11 * std::exp(-5.0))));   // 3 are left
    CHECK(cost(12) == Approx(std::log(1 + 11 * std::exp(-5.0))));  // none

    buffer(*loss, "centroids").copy_(directions(12, 12, 4));
    const auto query = directions(1, 12, 5);
    Context context;
    std::set<double> seen;
    for (context.draw = 0; context.draw < 8; ++context.draw) {
        const auto once = value(*loss, query, indices({3}), context);
        CHECK(value(*loss, query, indices({3}), context) == once);
        seen.insert(once);
    }
    CHECK(seen.size() > 4);
}

TEST_CASE("the gradient of prototypes is that of central differences, and reaches the query alone") {
    const auto loss = with({6}, 5, {{"negatives", std::int64_t{2}}});
    give(*loss, directions(6, 5, 2), at::linspace(0.2, 0.5, 6, at::kDouble), at::arange(6).unsqueeze(0));
    const auto total = [&](const at::Tensor& q) {
        return loss->forward(batch(q, indices({1, 4, 1})), {}).total;
    };
    CHECK(gradient_error(total, directions(3, 5, 1)) < 1e-7);
    for (const auto& item : loss->named_buffers()) CHECK_FALSE(item.value().requires_grad());
    CHECK(loss->parameters().empty());
}

TEST_CASE("before its epoch the loss is 0 with a gradient of 0, and nothing is clustered") {
    const Features set(directions(20, 4, 1).to(at::kFloat));
    const auto loss = with({3}, 4, {{"start_epoch", std::int64_t{2}}});
    for (const std::int64_t epoch : {0, 1}) {
        loss->on_epoch_begin(in_epoch(epoch, &set));
        const auto query = directions(2, 4, 2).requires_grad_();
        const auto out = loss->forward(batch(query, indices({5, 6})), in_epoch(epoch));
        CHECK(out.total.item<double>() == 0);
        out.total.backward();
        CHECK(query.grad().eq(0).all().item<bool>());
        CHECK(term(out, "clusters_used") == 0);
    }
    CHECK(set.passes == 0);
    CHECK(buffer(*loss, "centroids").size(0) == 0);
    loss->on_epoch_begin(in_epoch(2, &set));
    CHECK(set.passes == 1);
    CHECK(value(*loss, directions(2, 4, 2), indices({5, 6}), in_epoch(2)) > 0);
}

TEST_CASE("outside training no image has a cluster") {
    const Features set(directions(20, 4, 1).to(at::kFloat));
    const auto loss = with({3}, 4);
    loss->on_epoch_begin(in_epoch(0, &set));
    Context evaluation;
    evaluation.training = false;
    CHECK(value(*loss, directions(2, 4, 2), indices({500, 600}), evaluation) == 0);
}

TEST_CASE("an epoch begins with clusters of the whole set, in the same buffers") {
    const auto group = at::arange(30, at::kLong).remainder(3);
    at::manual_seed(1);
    auto rows = at::eye(3).index_select(0, group) + at::randn({30, 3}) * 0.02;
    rows = rows / rows.norm(2, 1, true);
    const Features set(rows);
    const auto loss = with({3, 6}, 3, {{"temperature", Schedule(0.1)}});
    const auto centroids = buffer(*loss, "centroids"), phi = buffer(*loss, "concentrations"),
               assignments = buffer(*loss, "assignments");
    loss->on_epoch_begin(in_epoch(0, &set));
    CHECK(centroids.sizes() == at::IntArrayRef({9, 3}));  // what the test held before it grew
    CHECK(assignments.sizes() == at::IntArrayRef({2, 30}));
    CHECK(distance(centroids.norm(2, 1), at::ones({9})) < 1e-6);
    CHECK(phi.slice(0, 0, 3).mean().item<double>() == Approx(0.1).epsilon(1e-6));
    CHECK(phi.slice(0, 3).mean().item<double>() == Approx(0.1).epsilon(1e-6));
    for (std::int64_t k = 0; k < 3; ++k) {
        const auto own = assignments[0].masked_select(group == k);
        CHECK(own.eq(own[0]).all().item<bool>());
        CHECK(centroids[own[0].item<std::int64_t>()][k].item<double>() > 0.99);
    }

    const auto before = assignments.clone();
    const auto again = with({3, 6}, 3, {{"temperature", Schedule(0.1)}});
    again->on_epoch_begin(in_epoch(0, &set));
    for (const char* name : {"centroids", "concentrations", "assignments"})
        CHECK(at::equal(buffer(*again, name), buffer(*loss, name)));
    loss->on_epoch_begin(in_epoch(0));  // goes on within the epoch
    CHECK(at::equal(assignments, before));
}

TEST_CASE("what a checkpoint holds is all that the next step needs") {
    const Features set(directions(40, 6, 1).to(at::kFloat));
    const auto loss = with({5, 9}, 6, {{"negatives", std::int64_t{3}}});
    loss->on_epoch_begin(in_epoch(4, &set));
    const auto resumed = with({5, 9}, 6, {{"negatives", std::int64_t{3}}});
    give(*resumed, buffer(*loss, "centroids"), buffer(*loss, "concentrations"), buffer(*loss, "assignments"));
    resumed->on_epoch_begin(in_epoch(4));
    auto context = in_epoch(4);
    context.draw = 43;
    const auto query = directions(3, 6, 2), index = indices({9, 30, 11});
    CHECK(value(*resumed, query, index, context) == value(*loss, query, index, context));
}

TEST_CASE("an image that could not be read takes no part") {
    class Gap : public Features {
      public:
        using Features::Features;
        void each(const Use& use) const override {
            Features::each([&](const Tensors& in, const at::Tensor& index) {
                const auto here = (index != 5).nonzero().squeeze(1);
                use({{"features", in["features"].index_select(0, here)}}, index.index_select(0, here));
            });
        }
    };
    auto rows = directions(12, 4, 1).to(at::kFloat);
    const auto without = at::cat({rows.slice(0, 0, 5), rows.slice(0, 6)});
    const auto gap = with({3}, 4), whole = with({3}, 4);
    const Gap partly(rows);
    const Features all(without);
    gap->on_epoch_begin(in_epoch(0, &partly));
    whole->on_epoch_begin(in_epoch(0, &all));
    CHECK(at::equal(buffer(*gap, "centroids"), buffer(*whole, "centroids")));
    CHECK(at::equal(buffer(*gap, "assignments")[0].slice(0, 6), buffer(*whole, "assignments")[0].slice(0, 5)));
}

TEST_CASE("more clusters than images are refused before the first epoch, with a proposal") {
    const Features set(directions(100, 4, 1).to(at::kFloat));
    const auto loss = with({3, 101}, 4, {{"start_epoch", std::int64_t{20}}});
    CHECK_THROWS_WITH(
        loss->on_epoch_begin(in_epoch(0, &set)),
        Catch::Contains("found 101 clusters for 100 training images") && Catch::Contains("[2, 4, 8]"));
}

TEST_CASE("features that are not finite are an error, not a clustering") {
    auto rows = directions(10, 4, 1).to(at::kFloat);
    rows[3][1] = std::nan("");
    const Features set(rows);
    CHECK_THROWS_WITH(with({3}, 4)->on_epoch_begin(in_epoch(0, &set)), Catch::Contains("not finite"));
}

TEST_CASE("two processes: the loss and gradient of one") {
    const auto query = directions(6, 5, 1), centroids = directions(9, 5, 2);
    const auto phi = at::linspace(0.2, 0.5, 9, at::kDouble);
    const auto index = indices({1, 4, 1, 7, 3, 0});
    const auto step = [&](const Comm& comm, const at::Tensor& q, const at::Tensor& images) {
        const auto loss = with({9}, 5, {{"negatives", std::int64_t{3}}});
        give(*loss, centroids, phi, at::arange(9).unsqueeze(0));
        Context context;
        context.comm = &comm;
        const auto out = loss->forward(batch(q, images), context);
        out.total.backward();
        return out.total.item<double>();
    };
    const auto whole = query.clone().requires_grad_();
    const auto expected = step(Comm::local(), whole, index);
    std::vector<double> losses(2);
    std::vector<at::Tensor> grads(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto part = query.narrow(0, 3 * comm.rank(), 3).clone().requires_grad_();
        losses[comm.rank()] = step(comm, part, index.narrow(0, 3 * comm.rank(), 3));
        grads[comm.rank()] = part.grad();
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected).epsilon(1e-12));
    CHECK(distance(at::cat(grads) / 2, whole.grad()) < 1e-12);
}

}  // namespace pcl_proto_nce
