// The loss of DINO by hand: its value at rest, the centre, what it is invariant to, who gets a gradient.
#include <catch2/catch.hpp>

#include "cases.hpp"

namespace dino_loss {

using namespace hearth;
using namespace hearth::test;

namespace {

double total(Loss& loss, const Case& sample, const Context& context = {}) {
    return loss.forward(sample.in(), context).total.item<double>();
}

double term(const LossOutput& out, const std::string& name) {
    for (const auto& [key, value] : out.terms)
        if (key == name) return value.item<double>();
    FAIL("found no term " << name);
    return 0;
}

Context evaluation() {
    Context context;
    context.training = context.learns = false;
    return context;
}

}  // namespace

TEST_CASE("all logits 0 give ln K") {
    for (const auto& [prototypes, expected] :
         {std::pair<std::int64_t, double>{65536, 11.09035489}, {2, 0.69314718}}) {
        const Case sample{at::zeros({2, 3, prototypes}), at::zeros({2, 3, prototypes}),
                          at::zeros({1, 3, prototypes})};
        const auto out = loss_for(sample)->forward(sample.in(), {});
        CHECK(out.total.item<double>() == Approx(expected).epsilon(1e-6));
        CHECK(term(out, "teacher_entropy") == Approx(expected).epsilon(1e-6));
        CHECK(term(out, "teacher_kl") == Approx(0).margin(1e-5));
        CHECK(term(out, "prototype_use") == Approx(1).epsilon(1e-6));
        CHECK(term(out, "information") == Approx(0).margin(1e-5));  // one answer for every image
    }
}

TEST_CASE("one image, two views, two prototypes, by hand") {
    // P_0 = softmax(0.04 ln 3 / 0.04, 0) = (3/4, 1/4), P_1 = (1/2, 1/2); p_0 = softmax(0.1 ln 4 / 0.1, 0) =
    // (4/5, 1/5), p_1 = (1/3, 2/3). Pairs: P_0 with p_1 and P_1 with p_0.
    const double a = 0.04 * std::log(3), b = 0.1 * std::log(4), c = 0.1 * std::log(2);
    const Case sample{at::tensor({a, 0.0, 0.0, 0.0}, at::kDouble).view({2, 1, 2}),
                      at::tensor({b, 0.0, 0.0, c}, at::kDouble).view({2, 1, 2}),
                      {}};
    const double first = -(0.75 * std::log(1 / 3.0) + 0.25 * std::log(2 / 3.0));
    const double second = -0.5 * (std::log(0.8) + std::log(0.2));
    const auto out = loss_for(sample)->forward(sample.in(), {});
    CHECK(out.total.item<double>() == Approx((first + second) / 2).epsilon(1e-9));
    const double entropy = (-(0.75 * std::log(0.75) + 0.25 * std::log(0.25)) + std::log(2)) / 2;
    CHECK(term(out, "teacher_entropy") == Approx(entropy).epsilon(1e-9));
    CHECK(term(out, "teacher_kl") == Approx((first + second) / 2 - entropy).epsilon(1e-9));
    const double use = -(0.625 * std::log(0.625) + 0.375 * std::log(0.375)) / std::log(2);
    CHECK(term(out, "prototype_use") == Approx(use).epsilon(1e-9));
    CHECK(term(out, "information") == Approx(use * std::log(2) - entropy).epsilon(1e-9));
}

TEST_CASE(
    "information is ln 2 where half of the images takes each of two prototypes, and 0 where all take one") {
    auto sharp = at::zeros({2, 4, 3}, at::kDouble);
    sharp.select(2, 0).fill_(100);
    const Case one{sharp, at::zeros_like(sharp), {}};
    CHECK(term(loss_for(one)->forward(one.in(), {}), "information") == Approx(0).margin(1e-12));
    auto halves = at::zeros_like(sharp);
    halves.slice(1, 0, 2).select(2, 0).fill_(100);
    halves.slice(1, 2, 4).select(2, 2).fill_(100);
    const Case two{halves, at::zeros_like(halves), {}};
    CHECK(term(loss_for(two)->forward(two.in(), {}), "information") == Approx(std::log(2)).epsilon(1e-9));
}

TEST_CASE("the centre moves after the loss: teacher outputs of 2 bring it to 0.2, and the step used 0") {
    auto sample = example(2, 1, 4, 5);
    sample.teacher = at::full({2, 4, 5}, 2.0, at::kDouble);
    sample.teacher.select(2, 0).fill_(2.1);  // not a constant, so that the centre shows in the loss
    const auto loss = loss_for(sample), untouched = loss_for(sample, {{"centring", false}});
    CHECK(center(*loss).sizes() == at::IntArrayRef({1, 5}));
    CHECK(center(*loss).eq(0).all().item<bool>());
    const auto first = total(*loss, sample);
    CHECK(first == total(*untouched, sample));
    CHECK(distance(center(*loss).slice(1, 1), at::full({1, 4}, 0.2, at::kDouble)) < 1e-12);
    CHECK(center(*loss)[0][0].item<double>() == Approx(0.21));
    CHECK(total(*loss, sample) != first);
    CHECK(distance(center(*loss).slice(1, 1), at::full({1, 4}, 0.38, at::kDouble)) < 1e-12);
    CHECK(center(*untouched).eq(0).all().item<bool>());
}

TEST_CASE("the centre is the mean over views and images, and moves in training only") {
    const auto sample = example(2, 0, 3, 4);
    const auto loss = loss_for(sample, {{"centre_momentum", Schedule(0.0)}});
    total(*loss, sample, evaluation());
    CHECK(center(*loss).eq(0).all().item<bool>());
    total(*loss, sample);
    CHECK(distance(center(*loss)[0], sample.teacher.mean(at::IntArrayRef({0, 1}))) < 1e-12);
    const auto still = loss_for(sample, {{"centre_momentum", Schedule(1.0)}});
    total(*still, sample);
    CHECK(center(*still).eq(0).all().item<bool>());
}

TEST_CASE("a step that accumulates batches moves the centre once, by the mean over all of them") {
    const auto whole = example(2, 0, 6, 4);
    const auto once = loss_for(whole), parts = loss_for(whole);
    total(*once, whole);
    parts->before_step({});
    for (int i = 0; i < 3; ++i) {
        const auto part = [&](const at::Tensor& all) { return all.slice(1, 2 * i, 2 * i + 2); };
        total(*parts, {part(whole.teacher), part(whole.student), {}});
        CHECK(center(*parts).eq(0).all().item<bool>());
    }
    parts->after_step({});
    CHECK(distance(center(*parts), center(*once)) < 1e-14);
    parts->after_step({});  // nothing was counted since
    CHECK(distance(center(*parts), center(*once)) < 1e-14);
}

TEST_CASE("a batch that is not finite leaves the centre alone") {
    auto sample = example(2, 0, 3, 4);
    const auto loss = loss_for(sample);
    total(*loss, sample);
    const auto before = center(*loss).clone();
    sample.teacher[1][2][0] = std::nan("");
    CHECK(std::isnan(total(*loss, sample)));
    CHECK(at::equal(center(*loss), before));
}

TEST_CASE("what the loss is invariant to") {
    const auto sample = example(2, 2, 3, 6);
    const auto loss = loss_for(sample);
    const auto expected = total(*loss, sample, evaluation());
    auto shifted = sample;
    shifted.student = sample.student + at::randn({2, 3, 1}, at::kDouble);
    shifted.local = sample.local + 7;
    CHECK(total(*loss, shifted, evaluation()) == Approx(expected).epsilon(1e-12));

    const auto direction = at::randn({6}, at::kDouble);
    auto moved = sample;
    moved.teacher = sample.teacher + direction;
    CHECK(std::abs(total(*loss, moved, evaluation()) - expected) > 1e-3);
    center(*loss).copy_(direction.unsqueeze(0));
    CHECK(total(*loss, moved, evaluation()) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("the student learns, the teacher and the centre get no gradient") {
    auto sample = example(2, 2, 3, 6);
    for (auto* logits : {&sample.teacher, &sample.student, &sample.local}) logits->set_requires_grad(true);
    const auto loss = loss_for(sample);
    const auto out = loss->forward(sample.in(), {});
    const auto after = center(*loss).clone();
    out.total.backward();
    CHECK_FALSE(sample.teacher.grad().defined());
    CHECK(sample.student.grad().abs().sum().item<double>() > 0);
    CHECK(sample.local.grad().abs().sum().item<double>() > 0);
    CHECK_FALSE(center(*loss).requires_grad());
    CHECK(at::equal(center(*loss), after));
    CHECK(loss->parameters().empty());
    CHECK_FALSE(out.per_sample.requires_grad());
    for (const auto& [name, value] : out.terms) CHECK_FALSE(value.requires_grad());
}

TEST_CASE("per_sample averages to the total and belongs to its image") {
    auto sample = example(2, 3, 4, 5);
    const auto loss = loss_for(sample);
    const auto out = loss->forward(sample.in(), evaluation());
    CHECK(out.per_sample.sizes() == at::IntArrayRef({4}));
    CHECK(out.per_sample.mean().item<double>() == Approx(out.total.item<double>()));
    sample.local.select(1, 2).mul_(3);
    const auto changed = loss->forward(sample.in(), evaluation()).per_sample.ne(out.per_sample);
    CHECK(changed.nonzero().item<std::int64_t>() == 2);
}

TEST_CASE("temperatures sharpen, and the teacher's follows its schedule") {
    const auto sample = example(2, 0, 3, 6);
    Schedule rise;
    rise.shape = Schedule::Shape::steps;
    rise.at = {1};
    rise.values = {0.04, 0.07};
    const auto loss = loss_for(sample, {{"teacher_temperature", rise}});
    Context context = evaluation();
    context.progress = {.step = 0, .total_steps = 4, .steps_per_epoch = 2};
    CHECK(total(*loss, sample, context) == total(*loss_for(sample), sample, evaluation()));
    context.progress.step = 2;
    const auto warm = loss_for(sample, {{"teacher_temperature", Schedule(0.07)}});
    CHECK(total(*loss, sample, context) == total(*warm, sample, evaluation()));
    const auto uniform = loss_for(sample, {{"student_temperature", Schedule(100.0)}});
    CHECK(total(*uniform, sample, evaluation()) == Approx(std::log(6)).epsilon(1e-2));
}

TEST_CASE("two processes: the same loss, gradient and centre as one with the whole batch") {
    auto whole = example(2, 3, 6, 5);
    whole.student.set_requires_grad(true);
    whole.local.set_requires_grad(true);
    const auto alone = loss_for(whole);
    const auto expected = alone->forward(whole.in(), {}).total;
    expected.backward();

    std::vector<double> losses(2);
    std::vector<at::Tensor> students(2), locals(2), centers(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto own = [&](const at::Tensor& x) {
            return x.detach().narrow(1, comm.rank() * 3, 3).clone().set_requires_grad(true);
        };
        const Case part{own(whole.teacher), own(whole.student), own(whole.local)};
        const auto loss = loss_for(part);
        Context context;
        context.comm = &comm;
        const auto out = loss->forward(part.in(), context);
        out.total.backward();
        losses[comm.rank()] = out.total.item<double>();
        students[comm.rank()] = part.student.grad();
        locals[comm.rank()] = part.local.grad();
        centers[comm.rank()] = center(*loss);
    });
    CHECK((losses[0] + losses[1]) / 2 == Approx(expected.item<double>()).epsilon(1e-12));
    CHECK(distance(at::cat(students, 1) / 2, whole.student.grad()) < 1e-12);  // the host averages gradients
    CHECK(distance(at::cat(locals, 1) / 2, whole.local.grad()) < 1e-12);
    for (const auto& found : centers) CHECK(distance(found, center(*alone)) < 1e-12);
}

TEST_CASE("bf16 logits are computed in fp32") {
    auto sample = example(2, 1, 3, 6);
    const auto narrow = [](const at::Tensor& x) { return x.to(at::kBFloat16); };
    const Case half{narrow(sample.teacher), narrow(sample.student).set_requires_grad(true),
                    narrow(sample.local)};
    const Case same{half.teacher.to(at::kDouble), half.student.detach().to(at::kDouble),
                    half.local.to(at::kDouble)};
    auto loss = loss_for(sample);
    loss->to(at::kFloat);
    const auto out = loss->forward(half.in(), evaluation());
    CHECK(out.total.scalar_type() == at::kFloat);
    CHECK(out.total.item<double>() == Approx(total(*loss_for(same), same, evaluation())).epsilon(1e-5));
    out.total.backward();
    CHECK(half.student.grad().scalar_type() == at::kBFloat16);
}

}  // namespace dino_loss
