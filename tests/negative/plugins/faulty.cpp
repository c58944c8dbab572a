// An augment and a loss that do as they declare, or not, as `fault` says.
#include <ATen/ATen.h>

#include <cmath>
#include <cstdlib>
#include <hearth/hearth.hpp>

using namespace hearth;

namespace {

/// Half as bright, and rows that are cut off: h of H.
class Dimmed : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.text("fault", "none")
            .choices({"none", "size", "uneven", "type", "missing", "undeclared", "in place", "raw", "rand",
                      "shared", "not finite"})
            .doc("how to fail");
    }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image")}; }
    static Ports writes(const Options&) {
        return {Port("dim", "B C H W", "half as bright"), Port("cut", "B C h W", "its upper rows").maybe()};
    }
    Dimmed(const Options& options, const Symbols&) : fault_(options.text("fault")) {}
    Tensors sample(const Tensors& views, Random& random) const override {
        const auto& image = views["image"];
        const auto drawn = random.uniform();
        auto dim = image * (0.5 + 0.1 * drawn);
        const auto cut = dim.slice(1, 0, image.size(1) / 2);
        if (fault_ == "in place") image.mul_(2);
        if (fault_ == "raw") *image.data_ptr<float>() += 1;
        if (fault_ == "rand") dim = image * (std::rand() % 1000 / 1000.0);
        if (fault_ == "shared") dim = image * (++calls_ % 2 + 1);
        if (fault_ == "not finite") dim = dim * std::nan("");
        if (fault_ == "size") return {{"dim", cut}, {"cut", cut}};
        if (fault_ == "uneven")
            return {{"dim", dim}, {"cut", dim.slice(1, static_cast<std::int64_t>(random.key().sample % 8))}};
        if (fault_ == "type") return {{"dim", dim.to(at::kDouble)}, {"cut", cut}};
        if (fault_ == "missing") return {{"cut", cut}};
        if (fault_ == "undeclared") return {{"dim", dim}, {"cut", cut}, {"dimm", dim}};
        return {{"dim", dim}, {"cut", cut}};
    }

  private:
    std::string fault_;
    mutable int calls_ = 0;
};

/// The mean square of its rows; of a view its mean besides.
class Rows : public Loss {
  public:
    static void schema(Schema& schema) {
        schema.text("fault", "none")
            .choices({"none", "undefined", "vector", "integer", "double", "detached", "per sample", "term"})
            .doc("how to fail");
    }
    static Ports reads(const Options&) {
        return {Port("rows", "B L D", "rows"), Port("view", "B C h W", "a view").maybe()};
    }
    static Ports writes(const Options&, const Symbols&) { return {Port("per_sample", "B", "of an image")}; }
    Rows(const Options& options, const Symbols&) : fault_(options.text("fault")) {}
    LossOutput forward(const Tensors& in, const Context&) override {
        const auto per_sample = at_least_float(in["rows"]).square().mean({1, 2});
        auto total = per_sample.mean();
        if (in.has("view")) total = total + in["view"].mean();
        if (fault_ == "undefined") return {};
        if (fault_ == "vector") return {.total = per_sample};
        if (fault_ == "integer") return {.total = total.to(at::kLong)};
        if (fault_ == "double") return {.total = total.to(at::kDouble)};
        if (fault_ == "detached") return {.total = total.detach()};
        if (fault_ == "per sample") return {.total = total, .per_sample = per_sample.unsqueeze(1)};
        if (fault_ == "term") return {.total = total, .terms = {{"rows", per_sample}}};
        return {.total = total, .per_sample = per_sample};
    }

  private:
    std::string fault_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "faulty", .version = "1.2.3", .summary = "for tests"}),
              component<Dimmed>("dimmed", "half as bright"), component<Rows>("rows", "mean square"))
