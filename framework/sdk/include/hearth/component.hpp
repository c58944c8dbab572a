// A plugin provides components of four kinds. All are torch::nn::Modules: parameters and buffers that a
// component registers are moved, checkpointed and followed by EMA with no further code.
//
// A component class T of any kind also has these static members, which the host calls before it creates one:
//   static void  schema(Schema&)                           options
//   static Ports reads(const Options&)                     what it reads, in symbols
//   static Ports writes(const Options&)                    what it writes, in the symbols of its reads
//   T(const Options&, const Symbols&)                      constructor, once its reads are bound
// `writes` may take Symbols too, to compute with what the reads were bound to. A loss needs none.
//
// Threads. Two kinds of thread call a component:
//   main thread   the static members, the constructor, hooks, forward(), render(), counts() and drawn():
//                 one call at a time over all components
//   workers       (of the loader) sample() and draw(): several at once, whatever the main thread is in
// So a component that is no augment needs no locks. What a worker throws is thrown again in the main thread.
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

/// When a component takes in the whole training set: before the first step, or after the last one, with the
/// weights that are kept.
enum class Fit { never, before, after };

/// What all kinds have: hooks, in the order of a step of training. The main thread calls them, one component
/// after the other. A hook of an augment runs while workers may be in its sample() or draw().
class Component : public torch::nn::Module {
  public:
    /// Whether fit() is called. Main thread.
    virtual Fit fits() const { return Fit::never; }
    /// Called with context.set, once: before the first step or after the last one, as fits() says. What it
    /// finds belongs into buffers. One that is registered empty takes its size from a checkpoint. Main thread.
    virtual void fit(const Context&) {}
    /// Whether its outputs can be differentiated twice by its inputs, as a gradient penalty does. An autograd
    /// function of its own without a second derivative makes this false. Main thread.
    virtual bool differentiates_twice() const { return true; }
    /// Called before the first step of an epoch, and where a resumed run goes on within one: then without
    /// context.set. Main thread.
    virtual void on_epoch_begin(const Context&) {}
    /// Called before the first forward() of an update, which with train.accumulate has several. Main thread.
    virtual void before_step(const Context&) {}
    /// Called after the last backward pass of an update, before gradients are clipped: the only hook that sees
    /// gradients. Main thread.
    virtual void after_backward(const Context&) {}
    /// Called after optimiser and followers; not where an update was left out because it was not finite. Main
    /// thread.
    virtual void after_step(const Context&) {}
};

/// Makes new views of one sample, in loader workers. All randomness comes from `random`, which is keyed by
/// (seed, epoch, sample, augment).
class Augment : public Component {
  public:
    static constexpr Kind kind = Kind::augment;
    /// `views` holds the declared reads without the batch axis (image: [C, H, W], float, [0, 1], CPU); returns
    /// the writes likewise. Called by the workers, several at once: it must not change the component (counters:
    /// std::atomic; buffers: thread_local). In a worker at:: and OpenCV use that one thread.
    virtual Tensors sample(const Tensors& views, Random& random) const = 0;
    /// Named counts since the last call, e.g. fallbacks; logged per epoch. Called by the main thread, while
    /// workers may be in sample() or draw().
    virtual std::vector<std::pair<std::string, std::int64_t>> counts() const { return {}; }
};

/// An augment in two halves, for `data.augment_on = "device"`: a loader worker draws for one sample, and the
/// views of a whole batch are made where the batch is. For a key it must draw what sample() draws, and make the
/// same views up to rounding.
class DeviceAugment : public Augment {
  public:
    /// What draw() returns, by name. Called by the main thread when the plan is built, before any draw().
    virtual std::vector<std::string> drawn() const = 0;
    /// The first half. Returns CPU tensors whose shapes are those of every other sample. Called like sample():
    /// by the workers, several at once.
    virtual Tensors draw(const Tensors& views, Random& random) const = 0;
    /// The second half: `batch` holds the declared reads with their batch axis, `drawn` [B, ...] what draw()
    /// returned for each sample, all on one device. Returns the writes with their batch axis. Called without
    /// gradients and without mixed precision; waits for nothing that the device computes. Called by the main
    /// thread while workers are in draw(): it must not change what that reads.
    virtual Tensors render(const Tensors& batch, const Tensors& drawn) const = 0;
};

/// What a backbone subtracts from images in [0, 1], and what it then divides them by: one number, or one for each
/// channel.
struct Normalization {
    std::vector<double> mean = {0}, std = {1};
};

/// Turns images into features. Reads `image` [B, C, H, W], float, [0, 1]; writes `tokens` [B, L, D] and `cls`
/// [B, D], or feature maps.
class Backbone : public Component {
  public:
    static constexpr Kind kind = Kind::backbone;
    /// What it does to images before anything else, for exports and model cards: the weights mean nothing to a
    /// program that does otherwise. Main thread.
    virtual Normalization normalization() const { return {}; }
    /// What describes an image where neither recipe nor command says it: "cls", "mean" (of the tokens) or
    /// "cls+mean". Main thread.
    virtual std::string features() const { return "cls+mean"; }
    /// Called by the main thread, once for each pass of the network and each batch; in evaluation too. Its
    /// backward pass runs in the main thread on the CPU, in LibTorch's own thread on a GPU.
    virtual Tensors forward(const Tensors& in, const Context& context) = 0;
};

/// Turns what a backbone or another head wrote into something else.
class Head : public Component {
  public:
    static constexpr Kind kind = Kind::head;
    /// Called by the main thread, as Backbone::forward().
    virtual Tensors forward(const Tensors& in, const Context& context) = 0;
};

/// A loss and what it can tell besides: named terms for the log, and for scoring a value per sample [B] or per
/// pixel [B, 1, H, W].
struct LossOutput {
    at::Tensor total;  ///< scalar, fp32
    std::vector<std::pair<std::string, at::Tensor>> terms = {};
    at::Tensor per_sample = {};
    at::Tensor per_pixel = {};
};

/// Turns outputs of passes into a number to make small.
class Loss : public Component {
  public:
    static constexpr Kind kind = Kind::loss;
    static Ports writes(const Options&, const Symbols&) { return {}; }
    /// Called by the main thread, once for each batch; its backward pass as that of Backbone::forward().
    virtual LossOutput forward(const Tensors& in, const Context& context) = 0;
};

}  // namespace hearth
