// InfoNCE within the batch: values against a loop, whose keys count, and where gradients go.
#include <catch2/catch.hpp>
#include <cmath>

#include "plugins/pcl/cases.hpp"
#include "support/autocast.hpp"

namespace moco_info_nce_batch {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Loss> in_batch(std::int64_t width, const Changes& changes = {}) {
    return loss_of("info-nce-batch", changes, width);
}

/// What two views give: queries and keys, not of unit length.
struct Views {
    at::Tensor query1, query2, key1, key2;
    Tensors tensors() const { return {{"query1", query1}, {"query2", query2}, {"key1", key1}, {"key2", key2}}; }
    Views rows(std::int64_t from, std::int64_t count) const {
        const auto part = [&](const at::Tensor& x) { return x.narrow(0, from, count).clone(); };
        return {part(query1), part(query2), part(key1), part(key2)};
    }
    Views swapped() const { return {query2, query1, key2, key1}; }
};

Views views(std::int64_t batch, std::int64_t width) {
    return {directions(batch, width, 1) * 3, directions(batch, width, 2), directions(batch, width, 3) * 0.5,
            directions(batch, width, 4) * 7};
}

double total(Loss& loss, const Views& of) {
    return loss.forward(of.tensors(), {}).total.item<double>();
}

/// -log of the share of a query's own key, one exponential after the other: mean over the batch.
double reference(const at::Tensor& query, const at::Tensor& key, double tau) {
    double sum = 0;
    for (std::int64_t b = 0; b < query.size(0); ++b) {
        const auto similarity = [&](std::int64_t j) {
            const auto lengths = query[b].norm() * key[j].norm();
            return std::exp((query[b].dot(key[j]) / lengths).item<double>() / tau);
        };
        double all = 0;
        for (std::int64_t j = 0; j < key.size(0); ++j) all += similarity(j);
        sum -= std::log(similarity(b) / all);
    }
    return sum / static_cast<double>(query.size(0));
}

}  // namespace

TEST_CASE("info-nce-batch contrasts each view with the keys of the other, times 2 tau") {
    const auto of = views(5, 6);
    const auto both = reference(of.query1, of.key2, 0.3) + reference(of.query2, of.key1, 0.3);
    const Changes warm{{"temperature", Schedule(0.3)}};
    const auto out = in_batch(6, warm)->forward(of.tensors(), {});
    CHECK(out.total.item<double>() == Approx(0.6 * both).epsilon(1e-12));
    CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()));
    CHECK_FALSE(out.per_sample.requires_grad());
    CHECK(term(out, "info_nce") == Approx(both / 2).epsilon(1e-12));

    const auto plain = in_batch(6, {{"temperature", Schedule(0.3)}, {"rescale", false}});
    CHECK(total(*plain, of) == Approx(both).epsilon(1e-12));
}

TEST_CASE("a key of its own among two orthogonal ones costs ln(1 + 2 e^-5)") {
    const auto own = at::eye(3, at::kDouble);
    const auto loss = in_batch(3, {{"rescale", false}});
    const auto out = loss->forward(Views{own, own, own, own}.tensors(), {});
    CHECK(term(out, "info_nce") == Approx(0.0133859).epsilon(1e-5));
    CHECK(term(out, "accuracy") == 1);
    const auto other = own.roll(1, 0);
    CHECK(term(loss->forward(Views{own, own, other, other}.tensors(), {}), "accuracy") == 0);
}

TEST_CASE("swapped views have the same loss, views of one batch in another order too") {
    const auto loss = in_batch(4);
    const auto of = views(6, 4);
    CHECK(total(*loss, of.swapped()) == Approx(total(*loss, of)).epsilon(1e-12));
    const Views turned{of.query1.flip(0), of.query2.flip(0), of.key1.flip(0), of.key2.flip(0)};
    CHECK(total(*loss, turned) == Approx(total(*loss, of)).epsilon(1e-12));
    const Views mismatched{of.query1, of.query2, of.key1.flip(0), of.key2};
    CHECK(std::abs(total(*loss, mismatched) - total(*loss, of)) > 1e-3);
}

TEST_CASE("one film is told from nothing: loss and gradient are 0") {
    auto of = views(1, 4);
    of.query1.requires_grad_();
    const auto out = in_batch(4)->forward(of.tensors(), {});
    out.total.backward();
    CHECK(out.total.item<double>() == 0);
    CHECK(of.query1.grad().abs().max().item<double>() == 0);
}

TEST_CASE("the gradient is that of central differences, and reaches the queries alone") {
    auto of = views(3, 5);
    of.key1.requires_grad_();
    of.key2.requires_grad_();
    const auto loss = in_batch(5);
    const auto by_first = [&](const at::Tensor& q) {
        return loss->forward(Views{q, of.query2, of.key1, of.key2}.tensors(), {}).total;
    };
    const auto by_second = [&](const at::Tensor& q) {
        return loss->forward(Views{of.query1, q, of.key1, of.key2}.tensors(), {}).total;
    };
    CHECK(gradient_error(by_first, of.query1) < 1e-7);
    CHECK(gradient_error(by_second, of.query2) < 1e-7);
    CHECK_FALSE(of.key1.grad().defined());
    CHECK_FALSE(of.key2.grad().defined());
    CHECK(loss->parameters().empty());
    CHECK(loss->named_buffers().is_empty());
}

TEST_CASE("a vector of length 0 has a loss and a gradient that are finite") {
    auto of = views(3, 4);
    of.query1[1].zero_();
    of.query1.requires_grad_();
    const auto out = in_batch(4)->forward(of.tensors(), {});
    out.total.backward();
    CHECK(std::isfinite(out.total.item<double>()));
    CHECK(of.query1.grad().isfinite().all().item<bool>());
}

TEST_CASE("two processes: the loss and gradient of one") {
    const auto step = [](const Comm& comm, Views of) {
        of.query1.requires_grad_();
        Context context;
        context.comm = &comm;
        const auto out = in_batch(4)->forward(of.tensors(), context);
        out.total.backward();
        return std::pair(out.total.item<double>(), of.query1.grad());
    };
    const auto of = views(6, 4);
    const auto [expected, gradient] = step(Comm::local(), of.rows(0, 6));
    std::vector<double> losses(2);
    std::vector<at::Tensor> gradients(2);
    run_ranks(2, [&](const Comm& comm) {
        std::tie(losses[comm.rank()], gradients[comm.rank()]) = step(comm, of.rows(3 * comm.rank(), 3));
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected).epsilon(1e-12));
    CHECK(distance(at::cat(gradients) / 2, gradient) < 1e-12);
}

TEST_CASE("bf16 embeddings are contrasted in fp32") {
    const auto of = views(4, 8);
    const auto half = [](const at::Tensor& x) { return x.to(at::kBFloat16); };
    const Views rounded{half(of.query1), half(of.query2), half(of.key1), half(of.key2)};
    const auto out = in_bf16([&] { return in_batch(8)->forward(rounded.tensors(), {}); });
    const auto exact = [](const at::Tensor& x) { return x.to(at::kDouble); };
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() == Approx(0.4 * (reference(exact(rounded.query1), exact(rounded.key2), 0.2) +
                                                    reference(exact(rounded.query2), exact(rounded.key1), 0.2)))
                                          .epsilon(1e-5));
}

}  // namespace moco_info_nce_batch
