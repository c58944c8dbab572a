// The four kinds of component a plugin can provide. All are torch::nn::Modules: parameters and buffers that a
// component registers are moved, checkpointed and followed by EMA with no further code.
//
// A component class T of any kind also has these static members, which the host calls before it creates one:
//   static void  schema(Schema&)                           options
//   static Ports reads(const Options&)                     what it reads, in symbols
//   static Ports writes(const Options&)                    what it writes, in the symbols of its reads
//   T(const Options&, const Symbols&)                      constructor, once its reads are bound
// `writes` may take Symbols too, to compute with what the reads were bound to. A loss needs none.
#pragma once

#include <torch/nn/module.h>

#include <hearth/context.hpp>
#include <hearth/option.hpp>
#include <hearth/port.hpp>
#include <hearth/random.hpp>
#include <hearth/tensors.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hearth {

enum class Kind { augment, backbone, head, loss };
std::string to_string(Kind kind);

class Component : public torch::nn::Module {
  public:
    // Hooks, in the order of a step. Gradients exist in after_backward only.
    virtual void on_epoch_begin(const Context&) {}
    virtual void before_step(const Context&) {}
    virtual void after_backward(const Context&) {}
    virtual void after_step(const Context&) {}
};

/// Makes new views of one sample, in loader workers. Called from several threads at once: `sample` must not
/// change the component (counters: std::atomic). All randomness comes from `random`, which is keyed by (seed,
/// epoch, sample, augment).
class Augment : public Component {
  public:
    static constexpr Kind kind = Kind::augment;
    /// `views` holds the declared reads without the batch axis (image: [C, H, W], float, [0, 1], CPU); returns
    /// the writes likewise.
    virtual Tensors sample(const Tensors& views, Random& random) const = 0;
    /// Named counts since the last call, e.g. fallbacks; logged per epoch.
    virtual std::vector<std::pair<std::string, std::int64_t>> counts() const { return {}; }
};

/// An augment in two halves, for `data.augment_on = "device"`: a loader worker draws for one sample, and the
/// views of a whole batch are made where the batch is. For a key it must draw what sample() draws, and make the
/// same views up to rounding.
class DeviceAugment : public Augment {
  public:
    /// What draw() returns, by name.
    virtual std::vector<std::string> drawn() const = 0;
    /// The first half, called like sample(). Returns CPU tensors whose shapes are those of every other sample.
    virtual Tensors draw(const Tensors& views, Random& random) const = 0;
    /// The second half: `batch` holds the declared reads with their batch axis, `drawn` [B, ...] what draw()
    /// returned for each sample, all on one device. Returns the writes with their batch axis. Called without
    /// gradients and without mixed precision; waits for nothing that the device computes.
    virtual Tensors render(const Tensors& batch, const Tensors& drawn) const = 0;
};

class Backbone : public Component {
  public:
    static constexpr Kind kind = Kind::backbone;
    /// Reads `image` [B, C, H, W], float, [0, 1]; writes `tokens` [B, L, D] and `cls` [B, D], or feature maps.
    virtual Tensors forward(const Tensors& in, const Context& context) = 0;
};

class Head : public Component {
  public:
    static constexpr Kind kind = Kind::head;
    virtual Tensors forward(const Tensors& in, const Context& context) = 0;
};

/// A loss and what it can tell besides: named terms for the log, a value per sample [B] or pixel [B, 1, H, W]
/// for scoring.
struct LossOutput {
    at::Tensor total;  ///< scalar, fp32
    std::vector<std::pair<std::string, at::Tensor>> terms = {};
    at::Tensor per_sample = {};
    at::Tensor per_pixel = {};
};

class Loss : public Component {
  public:
    static constexpr Kind kind = Kind::loss;
    static Ports writes(const Options&, const Symbols&) { return {}; }
    virtual LossOutput forward(const Tensors& in, const Context& context) = 0;
};

}  // namespace hearth
