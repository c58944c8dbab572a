// Rounds of f-AnoGAN's two trainings, taken twice in double precision: by the components, which see images in
// [0, 1], and by a plain formulation of the papers' objectives on images in [-1, 1] (plain.hpp). The official
// code is for TensorFlow 1.2 and Python 2.7, so that its own numbers are not to be had.
#include <ATen/ATen.h>
#include <torch/optim/adam.h>
#include <torch/optim/rmsprop.h>

#include <catch2/catch.hpp>

#include "plain.hpp"
#include "support/plugins.hpp"

namespace wgan_critic_steps {

using namespace hearth;
using at::Tensor;
using test::plain::Weights;

namespace {

constexpr std::int64_t batch = 4, edge = 16, width = 2, latent = 5;

std::vector<Tensor> trainable(const Weights& weights) {
    std::vector<Tensor> out;
    for (const auto& [name, tensor] : weights)
        if (tensor.requires_grad()) out.push_back(tensor);
    return out;
}

/// Largest difference between a module's parameters and the plain ones.
double apart(const torch::nn::Module& module, const Weights& weights) {
    double worst = 0;
    for (const auto& item : module.named_parameters())
        worst = std::max(worst, (item.value() - weights.at(item.key())).abs().max().item<double>());
    return worst;
}

/// Everything a module consists of, to see whether it stayed as it was.
std::vector<Tensor> everything(const torch::nn::Module& module) {
    std::vector<Tensor> out;
    for (const auto& tensor : module.parameters()) out.push_back(tensor.detach().clone());
    return out;
}

struct Networks {
    std::shared_ptr<Head> generator, interpolate, noise;
    std::shared_ptr<Backbone> critic, encoder;
    std::shared_ptr<Loss> real, fake, penalty, inversion;

    Networks() {
        at::manual_seed(1);
        Symbols symbols;
        symbols.bind("Z", latent);
        const auto image = test::image_symbols(1, edge, edge);
        generator = test::make<Head>("wgan-generator", {{"size", edge}, {"width", width}}, symbols);
        critic = test::make<Backbone>("wgan-critic", {{"width", width}}, image);
        encoder = test::make<Backbone>("wgan-encoder", {{"width", width}, {"out", latent}}, image);
        interpolate = test::make<Head>("interpolate");
        noise = test::make<Head>("noise", {{"size", latent}});
        const std::string side_real = "real", side_fake = "fake";
        real = test::make<Loss>("adversarial", {{"side", side_real}});
        fake = test::make<Loss>("adversarial", {{"side", side_fake}});
        penalty = test::make<Loss>("gradient-penalty");
        inversion = test::make<Loss>("inversion");
        for (auto* module :
             std::initializer_list<torch::nn::Module*>{generator.get(), critic.get(), encoder.get()})
            module->to(at::kDouble);
    }
};

}  // namespace

TEST_CASE("critic, generator and encoder steps are those of the papers' objectives") {
    Networks ours;
    Weights generator = test::plain::weights_of(*ours.generator),
            critic = test::plain::weights_of(*ours.critic), encoder = test::plain::weights_of(*ours.encoder);
    const auto adam = [](std::vector<Tensor> parameters) {
        return torch::optim::Adam(std::move(parameters), torch::optim::AdamOptions(1e-3).betas({0.0, 0.9}));
    };
    auto our_critic = adam(ours.critic->parameters()), our_generator = adam(ours.generator->parameters());
    auto plain_critic = adam(trainable(critic)), plain_generator = adam(trainable(generator));
    Context context;
    const auto index = at::arange(batch, at::kLong);
    const auto noise = [&] {
        return ours.noise->forward({{"index", index}}, context)["noise"].to(at::kDouble);
    };
    const auto score = [&](const Tensor& x) { return ours.critic->forward({{"image", x}}, context)["score"]; };

    for (int round = 0; round < 3; ++round) {
        for (int repeat = 0; repeat < 5; ++repeat) {
            ++context.draw;
            at::manual_seed(context.draw);
            const auto x = at::rand({batch, 1, edge, edge}, at::kDouble), z = noise();
            const auto before = everything(*ours.generator);

            const auto made = ours.generator->forward({{"latent", z}}, context);
            const auto between = ours.interpolate->forward(
                {{"a", x}, {"b", made["picture"]}, {"b.std", made["picture.std"]}, {"index", index}}, context);
            const auto mixed = between["mixed"].requires_grad_();
            const auto penalty =
                ours.penalty
                    ->forward({{"input", mixed}, {"input.std", between["mixed.std"]}, {"score", score(mixed)}},
                              context)
                    .total;
            const auto total = ours.real->forward({{"score", score(x)}}, context).total +
                               ours.fake->forward({{"score", score(made["picture"].detach())}}, context).total +
                               10 * penalty;
            our_critic.zero_grad();
            total.backward();
            our_critic.step();
            CHECK(test::plain::weights_of(*ours.generator).size() == generator.size());
            const auto after = everything(*ours.generator);
            for (std::size_t i = 0; i < after.size(); ++i) CHECK(at::equal(before[i], after[i]));

            // E[D(G(z))] - E[D(x)] + 10 E[(||grad D(u)|| - 1)^2]
            const auto real = 2 * x - 1, fake = test::plain::generate(generator, z, true).detach();
            const auto place = context.uniform(index, {1, 1, 1}).to(at::kDouble);
            const auto expected = test::plain::score(critic, fake).mean() -
                                  test::plain::score(critic, real).mean() +
                                  10 * test::plain::penalty(critic, real + place * (fake - real));
            plain_critic.zero_grad();
            expected.backward();
            plain_critic.step();
            CHECK(total.item<double>() == Approx(expected.item<double>()).epsilon(1e-8));
        }
        const auto before = everything(*ours.critic);
        const auto z = noise();
        const auto cost =
            ours.real
                ->forward({{"score", score(ours.generator->forward({{"latent", z}}, context)["picture"])}},
                          context)
                .total;
        our_generator.zero_grad();
        cost.backward();
        our_generator.step();
        const auto after = everything(*ours.critic);
        for (std::size_t i = 0; i < after.size(); ++i) CHECK(at::equal(before[i], after[i]));
        const auto expected = -test::plain::score(critic, test::plain::generate(generator, z, true)).mean();
        plain_generator.zero_grad();
        expected.backward();
        plain_generator.step();
        CHECK(cost.item<double>() == Approx(expected.item<double>()).epsilon(1e-8));
    }
    CHECK(apart(*ours.critic, critic) < 1e-7);
    CHECK(apart(*ours.generator, generator) < 1e-7);

    // The second stage: generator and critic stay, in evaluation mode.
    ours.generator->eval();
    for (const auto& item : ours.generator->named_buffers()) generator[item.key()] = item.value().clone();
    const torch::optim::RMSpropOptions options = torch::optim::RMSpropOptions(1e-3).alpha(0.9);
    torch::optim::RMSprop our_encoder(ours.encoder->parameters(), options),
        plain_encoder(trainable(encoder), options);
    const auto untouched = everything(*ours.generator);
    for (int step = 0; step < 5; ++step) {
        at::manual_seed(100 + static_cast<std::uint64_t>(step));
        const auto x = at::rand({batch, 1, edge, edge}, at::kDouble);
        const auto z = ours.encoder->forward({{"image", x}}, context)["latent"];
        const auto rebuilt = ours.generator->forward({{"latent", z}}, context);
        const auto features = [&](const Tensor& of) {
            return ours.critic->forward({{"image", of}}, context)["features"];
        };
        const auto out = ours.inversion->forward({{"image", x},
                                                  {"restored", rebuilt["picture"]},
                                                  {"restored.std", rebuilt["picture.std"]},
                                                  {"a", features(x)},
                                                  {"b", features(rebuilt["picture"])}},
                                                 context);
        our_encoder.zero_grad();
        out.total.backward();
        our_encoder.step();

        // MSE(x, G(E(x))) + MSE(f(x), f(G(E(x))))
        const auto u = 2 * x - 1,
                   v = test::plain::generate(generator, test::plain::encode(encoder, u, true), false);
        const auto of_pixels = (u - v).square().mean({1, 2, 3});
        const auto of_features =
            (test::plain::trunk(critic, u, true).detach() - test::plain::trunk(critic, v, true))
                .square()
                .mean(1);
        const auto expected = of_pixels.mean() + of_features.mean();
        plain_encoder.zero_grad();
        expected.backward();
        plain_encoder.step();
        CHECK(out.total.item<double>() == Approx(expected.item<double>()).epsilon(1e-7));
        CHECK(at::allclose(out.per_sample, (of_pixels + of_features).detach(), 1e-6, 1e-9));
        CHECK(at::allclose(out.per_pixel, (u - v).detach().abs(), 1e-6, 1e-8));
    }
    CHECK(apart(*ours.encoder, encoder) < 1e-6);
    const auto after = everything(*ours.generator);
    for (std::size_t i = 0; i < after.size(); ++i) CHECK(at::equal(untouched[i], after[i]));
}

}  // namespace wgan_critic_steps
