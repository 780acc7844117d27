package state

import (
	"cmp"
	"fmt"

	pb "wadi/metadata/metadatapb"
)

// encodeConfigs writes the resources in records of about baseConfigBytesPerRecord.
func (s *State) encodeConfigs(put func(*pb.BaseRecord) error) error {
	r, bytes := &pb.BaseConfigs{}, 0
	for i, x := range s.configs {
		r.Resources = append(r.Resources, &pb.ConfigResource{
			Type: uint32(x.Type), Name: x.Name, Configs: x.Configs, Changed: x.Changed,
		})
		if bytes += x.bytes; bytes < baseConfigBytesPerRecord && i < len(s.configs)-1 {
			continue
		}
		if err := put(&pb.BaseRecord{Kind: &pb.BaseRecord_Configs{Configs: r}}); err != nil {
			return err
		}
		r, bytes = &pb.BaseConfigs{}, 0
	}
	return nil
}

const baseConfigBytesPerRecord = 1 << 20

func (l *Loader) configs(r *pb.BaseConfigs) error {
	for _, x := range r.Resources {
		if x == nil {
			return fmt.Errorf("no resource: %w", ErrBase)
		}
		v := &ConfigResource{Type: ResourceType(x.Type), Name: x.Name, Configs: x.Configs, Changed: x.Changed}
		for _, c := range x.Configs {
			v.bytes += len(c.GetName()) + len(c.GetValue())
		}
		l.s.configs = append(l.s.configs, v)
		l.s.configBytes += v.bytes
	}
	return nil
}

// configs checks that resources are in order, within their caps, and add up.
func (c *checker) configs() error {
	s := c.s
	bytes := 0
	for i, r := range s.configs {
		if i > 0 && cmp.Or(cmp.Compare(s.configs[i-1].Type, r.Type), cmp.Compare(s.configs[i-1].Name, r.Name)) >= 0 {
			return fmt.Errorf("configs of %d %q are out of order", r.Type, r.Name)
		}
		ofType := r.Type == BrokerConfigs || r.Type == MetricsConfigs || r.Type == GroupConfigs
		if !ofType || len(r.Configs) == 0 || !risingConfigs(r.Configs) || r.bytes > MaxConfigBytes || r.Changed > s.position {
			return fmt.Errorf("configs of %d %q: %v", r.Type, r.Name, r.Configs)
		}
		bytes += r.bytes
	}
	if bytes != s.configBytes || bytes > MaxAllConfigBytes || len(s.configs) > MaxConfigResources || s.forgottenConfigs > s.position {
		return fmt.Errorf("%d resources with configs of %d bytes, counted as %d", len(s.configs), bytes, s.configBytes)
	}
	return nil
}
