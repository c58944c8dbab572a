// InfoNCE with a queue: values against a loop, who enters the queue and when.
#include <catch2/catch.hpp>
#include <cmath>

#include "cases.hpp"
#include "support/autocast.hpp"

namespace pcl_info_nce {

using namespace hearth;
using namespace hearth::test;

namespace {

std::shared_ptr<Loss> with_queue(std::int64_t keys, std::int64_t width, const Changes& more = {}) {
    Changes changes{{"queue", keys}};
    changes.insert(changes.end(), more.begin(), more.end());
    return loss_of("info-nce", changes, width);
}

Tensors pair(const at::Tensor& query, const at::Tensor& key) {
    return {{"query", query}, {"key", key}};
}

/// Eq. 1 of MoCo, one exponential after the other.
double reference(const at::Tensor& query, const at::Tensor& key, const at::Tensor& queue, double tau) {
    double sum = 0;
    for (std::int64_t b = 0; b < query.size(0); ++b) {
        const auto similarity = [&](const at::Tensor& other) {
            return std::exp(query[b].dot(other).item<double>() / tau);
        };
        const double own = similarity(key[b]);
        double all = own;
        for (std::int64_t r = 0; r < queue.size(0); ++r) all += similarity(queue[r]);
        sum -= std::log(own / all);
    }
    return sum / static_cast<double>(query.size(0));
}

/// One update with these batches of keys.
void update(Loss& loss, const std::vector<at::Tensor>& keys, const Context& context = {}) {
    loss.before_step(context);
    for (const auto& key : keys) loss.forward(pair(key, key), context);
    loss.after_step(context);
}

}  // namespace

TEST_CASE("info-nce is eq. 1, per_sample averages to it") {
    const auto query = directions(5, 6, 1), key = directions(5, 6, 2);
    const auto loss = with_queue(7, 6, {{"temperature", Schedule(0.3)}});
    const auto out = loss->forward(pair(query, key), {});
    CHECK(out.total.item<double>() ==
          Approx(reference(query, key, buffer(*loss, "queue"), 0.3)).epsilon(1e-12));
    CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()));
    CHECK_FALSE(out.per_sample.requires_grad());
    CHECK(term(out, "info_nce") == out.total.item<double>());
}

TEST_CASE("the queue starts with directions of unit length") {
    const auto loss = with_queue(9, 4);
    CHECK(distance(buffer(*loss, "queue").norm(2, 1), at::ones({9})) < 1e-6);
    CHECK(buffer(*loss, "next").item<std::int64_t>() == 0);
}

TEST_CASE("keys that are all alike cost ln(1 + R), a key of its own almost nothing") {
    const auto loss = with_queue(3, 4);
    buffer(*loss, "queue").zero_().select(1, 0).fill_(1);
    const auto same = at::eye(4, at::kDouble).slice(0, 0, 1);
    CHECK(loss->forward(pair(same, same), {}).total.item<double>() == Approx(std::log(4.0)));
    const auto own = at::eye(4, at::kDouble).slice(0, 1, 2);
    const auto out = loss->forward(pair(own, own), {});
    CHECK(out.total.item<double>() == Approx(std::log(1 + 3 * std::exp(-5.0))));
    CHECK(term(out, "accuracy") == 1);
    CHECK(term(loss->forward(pair(same, own), {}), "accuracy") == 0);
}

TEST_CASE("the gradient is that of central differences, and reaches the query alone") {
    const auto key = directions(3, 5, 2).requires_grad_();
    const auto loss = with_queue(4, 5);
    const auto total = [&](const at::Tensor& q) { return loss->forward(pair(q, key), {}).total; };
    CHECK(gradient_error(total, directions(3, 5, 1)) < 1e-7);
    CHECK_FALSE(key.grad().defined());
    CHECK_FALSE(buffer(*loss, "queue").requires_grad());
    CHECK(loss->parameters().empty());
}

TEST_CASE("keys enter the queue after an update that was made, and only then") {
    const auto loss = with_queue(6, 4);
    const auto before = buffer(*loss, "queue").clone();
    const auto key = directions(2, 4, 3);

    loss->forward(pair(key, key), {});  // outside an update
    loss->before_step({});
    loss->forward(pair(key, key), {});
    CHECK(at::equal(buffer(*loss, "queue"), before));  // the batch met the queue as the update found it
    loss->before_step({});                             // that update was left out: it was not finite
    loss->after_step({});
    CHECK(at::equal(buffer(*loss, "queue"), before));

    Context other;  // another phase's update, or an evaluation
    other.learns = false;
    update(*loss, {key}, other);
    CHECK(at::equal(buffer(*loss, "queue"), before));

    update(*loss, {key});
    CHECK(distance(buffer(*loss, "queue").slice(0, 0, 2), key) < 1e-12);
    CHECK(at::equal(buffer(*loss, "queue").slice(0, 2), before.slice(0, 2)));
}

TEST_CASE("the oldest keys are replaced, whatever the batch, and an update enters once") {
    const auto loss = with_queue(5, 4);
    const auto keys = directions(12, 4, 3);
    update(*loss, {keys.slice(0, 0, 2), keys.slice(0, 2, 4)});  // two batches
    update(*loss, {keys.slice(0, 4, 6)});
    CHECK(distance(buffer(*loss, "queue"), at::cat({keys.slice(0, 5, 6), keys.slice(0, 1, 5)})) < 1e-12);
    CHECK(buffer(*loss, "next").item<std::int64_t>() == 1);
    update(*loss, {keys.slice(0, 4)});  // eight: the last five
    CHECK(distance(buffer(*loss, "queue").sum(0), keys.slice(0, 7).sum(0)) < 1e-12);
}

TEST_CASE("two processes: the loss, gradient and queue of one") {
    const auto query = directions(6, 4, 1), key = directions(6, 4, 2), start = directions(8, 4, 3);
    const auto step = [&](const Comm& comm, const at::Tensor& q, const at::Tensor& k) {
        const auto loss = with_queue(8, 4);
        buffer(*loss, "queue").copy_(start);
        Context context;
        context.comm = &comm;
        loss->before_step(context);
        const auto out = loss->forward(pair(q, k), context);
        out.total.backward();
        loss->after_step(context);
        return std::pair(out.total.item<double>(), buffer(*loss, "queue").clone());
    };
    const auto whole = query.clone().requires_grad_();
    const auto [expected, queue] = step(Comm::local(), whole, key);
    std::vector<double> losses(2);
    std::vector<at::Tensor> grads(2), queues(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto part = query.narrow(0, 3 * comm.rank(), 3).clone().requires_grad_();
        const auto [loss, after] = step(comm, part, key.narrow(0, 3 * comm.rank(), 3));
        losses[comm.rank()] = loss, grads[comm.rank()] = part.grad(), queues[comm.rank()] = after;
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected).epsilon(1e-12));
    CHECK(distance(at::cat(grads) / 2, whole.grad()) < 1e-12);
    for (const auto& found : queues) CHECK(distance(found, queue) < 1e-12);
}

TEST_CASE("bf16 embeddings are compared in fp32") {
    const auto query = directions(3, 8, 1).to(at::kBFloat16), key = directions(3, 8, 2).to(at::kBFloat16);
    const auto loss = with_queue(4, 8);
    loss->to(at::kFloat);
    const auto out = in_bf16([&] { return loss->forward(pair(query, key), {}); });
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() == Approx(reference(query.to(at::kDouble), key.to(at::kDouble),
                                                       buffer(*loss, "queue").to(at::kDouble), 0.2))
                                          .epsilon(1e-5));
}

}  // namespace pcl_info_nce
